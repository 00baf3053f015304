import { App } from '../../panel/app.ts';

void new App(document.getElementById('panel')!).start();
