/** The worker that makes the playground's runs and answers in its chat. */
import * as Comlink from 'comlink';
import { hazard, help } from '../models/demo/truth.ts';
import { Workbench } from '../src/host/page/workbench.ts';
import { WORDS } from './align/fields.ts';

Comlink.expose(new Workbench({ help, hazard }, WORDS));
