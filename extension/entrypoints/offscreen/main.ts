import { Keeper } from '../../keeper/keeper.ts';
import { serveRequests } from '../../shared/channel.ts';

const keeper = await Keeper.open();
keeper.start(serveRequests(keeper));
