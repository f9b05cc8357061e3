// Prints, as JSON, what the AsyncAPI project's parser finds in each of the documents named.
'use strict';

const fs = require('node:fs');
const { Parser } = require('@asyncapi/parser');

const ERROR = 0;

async function faults(path) {
  const { diagnostics } = await new Parser().parse(fs.readFileSync(path, 'utf8'));
  const found = diagnostics.map(({ code, severity, message, path: at }) => ({ code, severity, message, at: at.join('/') }));
  return {
    errors: found.filter(({ severity }) => severity === ERROR),
    others: found.filter(({ severity }) => severity !== ERROR),
  };
}

(async () => {
  const all = [];
  for (const path of process.argv.slice(2)) all.push(await faults(path));
  console.log(JSON.stringify(all));
})();
