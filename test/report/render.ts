/** Renders the report data of a JSON file on standard output: `render.ts FILE`, for comparing hosts. */
import { readFileSync } from 'node:fs';
import type { ReportData } from '../../src/report/data.ts';
import { renderReport, renderSummary } from '../../src/report/report.ts';

const data = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as ReportData;
process.stdout.write(renderReport(data) + renderSummary(data));
