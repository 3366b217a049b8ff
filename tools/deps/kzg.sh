#!/usr/bin/env bash
# Builds the curve BLS12-381 (blst) and the commitments of blobs (c-kzg-4844) out of the npm package c-kzg, into .deps
# (ATTESTRY_DEPS chooses another folder): .deps/include/{blst.h,blst_aux.h,ckzg/…}, .deps/lib/libkzg.a.
# tools/deps/build.sh calls it.
#
# The archive has three objects. Of each only the public names stay global: c-kzg's own helpers are called log2_pow2,
# fr_add and the like. The third holds the points of the KZG ceremony of Ethereum (trusted_setup.txt of the package) as
# bytes, in the order of that file: attestry_kzg_setup.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${ATTESTRY_DEPS:-$root/.deps}

# The number changes when this script builds something else from the same package.
stamp_text="kzg 1 $(awk '$1 == "npm" && $2 == "c-kzg" { print $3, $4 }' "$root/tools/deps.lock")"
stamp=$out/kzg.stamp
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$stamp_text" ] && exit 0

"$root/tools/deps/npm.sh" c-kzg
source=${ATTESTRY_NPM:-$root/.cache/npm}/c-kzg/deps
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "==> building blst and c-kzg (a few seconds)"
cc=${CC:-cc}
flags=(-O2 -g1 -fPIC -w -ffunction-sections -fdata-sections -fstack-protector-strong -fcf-protection=full)

# Portable: which instructions the processor has is found out when the program runs.
"$cc" "${flags[@]}" -fno-builtin -D__BLST_PORTABLE__ -c "$source/blst/src/server.c" -o "$work/server.o"
"$cc" -fPIC -D__BLST_PORTABLE__ -c "$source/blst/build/assembly.S" -o "$work/assembly.o"
ld -r "$work/server.o" "$work/assembly.o" -o "$work/blst.o"
objcopy --wildcard --keep-global-symbol='blst_*' --keep-global-symbol='BLS12_381_*' "$work/blst.o"

"$cc" "${flags[@]}" -I"$source/blst/bindings" -I"$source/c-kzg" -c "$source/c-kzg/ckzg.c" -o "$work/ckzg.o"
public=(load_trusted_setup free_trusted_setup blob_to_kzg_commitment compute_kzg_proof compute_blob_kzg_proof
  verify_kzg_proof verify_blob_kzg_proof verify_blob_kzg_proof_batch compute_cells_and_kzg_proofs
  recover_cells_and_kzg_proofs verify_cell_kzg_proof_batch)
objcopy "${public[@]/#/--keep-global-symbol=}" "$work/ckzg.o"

# Two counts, then a point in hex on each line.
python3 - "$source/c-kzg/trusted_setup.txt" "$work/setup.bin" <<'PY'
import sys
g1, g2, *points = open(sys.argv[1]).read().split()
assert (g1, g2, len(points)) == ("4096", "65", 4096 + 65 + 4096), "another trusted setup than known"
open(sys.argv[2], "wb").write(b"".join(map(bytes.fromhex, points)))
PY
cat >"$work/setup.S" <<EOF
.section .rodata.attestry_kzg_setup,"a",@progbits
.globl attestry_kzg_setup
.type attestry_kzg_setup, @object
.balign 16
attestry_kzg_setup:
.incbin "$work/setup.bin"
.size attestry_kzg_setup, . - attestry_kzg_setup
.section .note.GNU-stack,"",@progbits
EOF
"$cc" -c "$work/setup.S" -o "$work/setup.o"
ar rcs "$work/libkzg.a" "$work/blst.o" "$work/ckzg.o" "$work/setup.o"

# Into place in one go, and the stamp last: a build that was interrupted starts again.
mkdir -p "$out/include" "$out/lib"
rm -rf "$stamp" "$out/include/ckzg"
mkdir "$out/include/ckzg"
(cd "$source/c-kzg" && cp --parents ckzg.h common/*.h eip4844/*.h eip7594/*.h setup/*.h "$out/include/ckzg")
cp "$source/blst/bindings/blst.h" "$source/blst/bindings/blst_aux.h" "$out/include"
cp "$work/libkzg.a" "$out/lib/libkzg.a"
cp "$source/blst/LICENSE" "$out/blst.LICENSE"
echo "$stamp_text" >"$stamp"
