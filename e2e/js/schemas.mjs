// Prints, as JSON Schema, what the official SDK takes for each message of the revisions 2025-11-25 and 2026-07-28. It has a frozen
// copy of each revision's schema, which it does not export: its module is read as text, and exports are added.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, 'node_modules/@modelcontextprotocol/client/dist');
const has = (name) => /^src-.*\.mjs$/.test(name) && fs.readFileSync(path.join(dist, name), 'utf8').includes('function getRequestSchema2026');
const source = fs.readdirSync(dist).find(has);
const text = fs.readFileSync(path.join(dist, source), 'utf8').replace(/from "\.\//g, `from "${pathToFileURL(dist)}/`);
const names = ['Request', 'Result', 'Notification'].flatMap((kind) => [`get${kind}Schema`, `get${kind}Schema2026`]);
names.push('getInputRequestSchema2026', 'getInputResponseSchema2026', 'rev2025RequestMethods', 'rev2026RequestMethods', 'rev2025NotificationMethods', 'rev2026NotificationMethods');
const copy = path.join(root, `schemas-${process.pid}.mjs`);
fs.writeFileSync(copy, `${text}\nexport { ${names.map((n) => `${n} as own_${n}`).join(', ')}, z as own_z };\n`);
let sdk;
try {
	sdk = await import(pathToFileURL(copy));
} finally {
	fs.rmSync(copy);
}
const toJSON = (schema) => schema && sdk.own_z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' });
const all = (methods, get) => Object.fromEntries(methods.map((m) => [m, toJSON(get(m))]).filter(([, s]) => s));
const asked = ['elicitation/create', 'sampling/createMessage', 'roots/list'];
process.stdout.write(JSON.stringify({
	'2025-11-25': {
		requests: all(sdk.own_rev2025RequestMethods, sdk.own_getRequestSchema),
		results: all(sdk.own_rev2025RequestMethods, sdk.own_getResultSchema),
		notifications: all(sdk.own_rev2025NotificationMethods, sdk.own_getNotificationSchema),
	},
	'2026-07-28': {
		requests: all(sdk.own_rev2026RequestMethods, sdk.own_getRequestSchema2026),
		results: all(sdk.own_rev2026RequestMethods, sdk.own_getResultSchema2026),
		notifications: all(sdk.own_rev2026NotificationMethods, sdk.own_getNotificationSchema2026),
		questions: all(asked, sdk.own_getInputRequestSchema2026),
		answers: all(asked, sdk.own_getInputResponseSchema2026),
	},
}));
