// Runs build/wasm/verify.wasm over every case below the given folders and compares with case.json.
//   node run.mjs FOLDER...       exit 1 when a case disagrees or when there is no case at all
import { WASI } from 'node:wasi';
import { openSync, closeSync, mkdtempSync, readFileSync, readdirSync, existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const program = await WebAssembly.compile(readFileSync(join(root, 'build', 'wasm', 'verify.wasm')));
const work = mkdtempSync(join(tmpdir(), 'attestry-wasm-'));

const evidence = ['quote.bin', 'report.bin', 'attestation.cbor', 'token.jwt'];

function* cases(folder) {
  if (existsSync(join(folder, 'case.json')) && evidence.some((name) => existsSync(join(folder, name)))) yield folder;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* cases(join(folder, entry.name));
  }
}

async function verify(folder, about) {
  const out = join(work, 'verdict.json');
  const stdout = openSync(out, 'w');
  // Cases that fail at any time carry none.
  const args = ['verify', '/case', about.verify_at ?? '2026-11-18T00:00:00Z'];
  const preopens = { '/case': folder };
  if (about.trust_anchor) {
    const place = dirname(join(folder, about.trust_anchor));
    const [before, after] = about.trust_anchor.split('/').pop().split('*');
    const files = readdirSync(place).filter((name) => name.startsWith(before) && (after === undefined ? name === before : name.endsWith(after)));
    preopens['/trust'] = place;
    args.push(files.map((name) => '/trust/' + name).join(','));
  } else {
    args.push('-');
  }
  if (about.expected_issuer) args.push(about.expected_issuer);
  const wasi = new WASI({ version: 'preview1', args, preopens, stdout, returnOnExit: true });
  let code;
  try {
    code = wasi.start(await WebAssembly.instantiate(program, wasi.getImportObject()));
  } finally {
    closeSync(stdout);
  }
  const text = readFileSync(out, 'utf8');
  return { code, verdict: text ? JSON.parse(text) : null };
}

const sorted = (list) => JSON.stringify([...list].sort());

// '' when the verdict is what the case states, else what disagrees.
function disagreement({ code, verdict }, expect) {
  if (!verdict) return `no verdict, exit ${code}`;
  if (expect.result === 'fail') return verdict.verdict !== 'accepted' && verdict.root_cause ? '' : 'accepted what must be refused';
  if (expect.result !== 'ok') return '';
  if (verdict.verdict !== 'accepted') return `refused a good one: ${verdict.root_cause?.id}`;
  if (expect.tcb_status && verdict.tcb?.status !== expect.tcb_status) return `TCB status ${verdict.tcb?.status}`;
  if (expect.tcb_status && expect.advisory_ids && sorted(verdict.tcb.advisory_ids) !== sorted(expect.advisory_ids)) return 'advisory ids';
  for (const [name, value] of Object.entries(expect.measurements ?? {})) {
    if (value === null || typeof value === 'object') continue;
    if (String(verdict.claims[name]).toLowerCase() !== String(value).toLowerCase()) return `claim ${name}`;
  }
  return '';
}

let passed = 0, failed = 0;
for (const folder of process.argv.slice(2).flatMap((f) => [...cases(f)])) {
  const about = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8'));
  if (!about.expect || about.expect.result === 'parse') continue;
  const problem = disagreement(await verify(folder, about), about.expect);
  if (problem && String(about.strictness).startsWith('policy choice')) continue;
  if (problem) console.log(`  ${folder}: ${problem}`);
  problem ? failed++ : passed++;
}
rmSync(work, { recursive: true });
console.log(`WebAssembly: ${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;
