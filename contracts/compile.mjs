// Compiles the contracts and writes contracts/artifacts/*.json, the files that the program embeds and the tests deploy, and
// the same of tests/contracts, which only tests deploy.
//   node contracts/compile.mjs [--check]     --check: writes nothing; fails when what is there is not what comes out
// The compiler and OpenZeppelin come from tools/deps/npm.sh. Only soljson.js of the package solc is used (a WebAssembly
// build of the compiler without dependencies), and all sources are given to it at once, so it reads no file by itself.
import {createHash} from 'node:crypto';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const packages = process.env.ATTESTRY_NPM ?? path.join(here, '..', '.cache', 'npm');
const root = path.join(here, '..');
// Those of one group are compiled in one run: the optimiser's choices depend on what else is there.
const groups = [
  ['contracts', ['Registry', 'Kms', 'KeyManager']],
  ['contracts', ['Reputation', 'ReputationFactory']],
  ['tests/contracts', ['FirstRegistry', 'SecondRegistry']],
  ['tests/contracts', ['FirstReputation']],
];
const isOurs = (file) => groups.some(([folder]) => file.startsWith(`${folder}/`));
// Without a hash of the metadata in the code, a changed comment does not change the bytes on chain.
const settings = {
  evmVersion: 'cancun',
  optimizer: {enabled: true, runs: 200},
  metadata: {appendCBOR: false, bytecodeHash: 'none'},
};

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** All sources that the contracts import, by the name under which they import them. */
function collect(name, sources) {
  if (name in sources) return;
  const file = path.join(isOurs(name) ? root : packages, name);
  const content = fs.readFileSync(file, 'utf8');
  sources[name] = {content};
  for (const [, target] of content.matchAll(/^import\s+(?:[^"']*\sfrom\s+)?["']([^"']+)["'];/gms)) {
    collect(target.startsWith('.') ? path.posix.join(path.posix.dirname(name), target) : target, sources);
  }
}

function compile(sources) {
  const soljson = createRequire(import.meta.url)(path.join(packages, 'solc', 'soljson.js'));
  const input = {
    language: 'Solidity',
    sources,
    settings: {
      ...settings,
      outputSelection: {
        '*': {
          '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.methodIdentifiers', 'storageLayout'],
        },
      },
    },
  };
  const run = soljson.cwrap('solidity_compile', 'string', ['string', 'number', 'number']);
  const output = JSON.parse(run(JSON.stringify(input), 0, 0));
  // Warnings about other people's sources are theirs.
  const ours = (error) => isOurs(error.sourceLocation?.file ?? '');
  const problems = (output.errors ?? []).filter((error) => error.severity === 'error' || ours(error));
  if (problems.length > 0) {
    console.error(problems.map((error) => error.formattedMessage).join('\n'));
    process.exit(1);
  }
  return {output, version: soljson.cwrap('solidity_version', 'string', [])()};
}

/** Where each variable stands: what the program proves with eth_getProof. Types without the compiler's running numbers,
 * which change with every line of any source. */
function layoutOf({storage, types}) {
  const plain = (text) => text.replaceAll(/\)\d+_storage/g, ')_storage');
  const places = (list) => list.map(({label, slot, offset, type}) => ({label, slot, offset, type: plain(type)}));
  const structs = Object.entries(types).filter(([, about]) => about.members);
  return {
    variables: places(storage),
    structs: Object.fromEntries(structs.map(([name, about]) => [plain(name), places(about.members)])),
  };
}

/** What a contract is made of: its artifact must not change with another contract's sources. */
function sourcesOf(folder, contract) {
  const own = {};
  collect(`${folder}/${contract}.sol`, own);
  return own;
}

const hashesOf = (own) =>
  Object.fromEntries(Object.keys(own).sort().map((name) => [name, sha256(own[name].content)]));

/** Whether all artifacts of the group are as the sources give it, after writing what was not. */
function compileGroup(folder, contracts, check) {
  const {output, version} = compile(Object.assign({}, ...contracts.map((name) => sourcesOf(folder, name))));
  let good = true;
  for (const name of contracts) {
    const made = output.contracts[`${folder}/${name}.sol`][name];
    const runtime = made.evm.deployedBytecode.object.length / 2;
    if (runtime > 24576) throw new Error(`${name}: ${runtime} bytes of code, a chain takes 24576 (EIP-170)`);
    const text = JSON.stringify({
      contract: name,
      compiler: version,
      settings,
      sources: hashesOf(sourcesOf(folder, name)),
      abi: made.abi,
      selectors: made.evm.methodIdentifiers,
      bytecode: `0x${made.evm.bytecode.object}`,
      deployedBytecode: `0x${made.evm.deployedBytecode.object}`,
      storageLayout: layoutOf(made.storageLayout),
    }, null, 1) + '\n';
    const artifact = `${folder}/artifacts/${name}.json`;
    const file = path.join(root, artifact);
    if (check) {
      if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text) continue;
      console.error(`${artifact} is not what the sources give; run: make contracts`);
      good = false;
    } else {
      fs.writeFileSync(file, text);
      console.log(`${artifact}: ${runtime} bytes of code`);
    }
  }
  return good;
}

const good = groups.map(([folder, contracts]) => compileGroup(folder, contracts, process.argv.includes('--check')));
process.exit(good.every(Boolean) ? 0 : 1);
