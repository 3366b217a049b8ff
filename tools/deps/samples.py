#!/usr/bin/env python3
"""Real evidence for a checkout that has no vectors beside it: quotes and collateral of the package dcap-qvl.

  tools/deps/samples.py [FOLDER]      default .cache/samples; prints the folder

Writes one folder per case: quote.bin, collateral.json (both as published, the quote without the padding that some
delivery paths add behind it) and case.json with the time at which that collateral is valid and the expected answer.
Nothing of the package is copied into this repository; it is fetched by pip, pinned in tools/deps.lock.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# case folder: (sample, platform, time, result, TCB status, advisory ids). The answers were checked against Intel's
# rules for the published collateral; the times lie inside the validity of every item.
CASES = {
    "tdx-v4-uptodate": ("tdx_quote", "tdx", "2025-06-20T00:00:00Z", "ok", "UpToDate", []),
    "tdx-v5-td15ex-uptodate": ("tdx_quote_td15ex", "tdx", "2026-10-15T00:00:00Z", "ok", "UpToDate", None),
    "tdx-v5-tcb-not-supported": ("tdx_quote_outdated", "tdx", "2026-03-05T10:50:03Z", "fail", "TCB_NOT_SUPPORTED", []),
    "sgx-v3-configuration-and-sw-hardening-needed": (
        "sgx_quote",
        "sgx",
        "2025-07-04T10:28:44Z",
        "ok",
        "ConfigurationAndSWHardeningNeeded",
        ["INTEL-SA-00289", "INTEL-SA-00615"],
    ),
}


def quote_size(quote):
    """Length that the quote itself declares: header 48, body, u32 length and that many bytes of signature data."""
    version, tee = struct.unpack_from("<H", quote, 0)[0], struct.unpack_from("<I", quote, 4)[0]
    if version == 5:
        body = 48 + 6 + struct.unpack_from("<I", quote, 50)[0]
    else:
        body = 48 + (584 if tee == 0x81 else 384)
    return body + 4 + struct.unpack_from("<I", quote, body)[0]


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".cache" / "samples"
    fetch = [ROOT / "tools" / "deps" / "fetch.sh", "dcap-qvl"]
    stamp, wanted = out / "made-from", pathlib.Path(__file__).read_bytes() + (ROOT / "tools" / "deps.lock").read_bytes()
    if not stamp.exists() or stamp.read_bytes() != wanted:
        archive = subprocess.run(fetch, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        with tarfile.open(archive) as tar:
            top = tar.getnames()[0].split("/")[0]
            for case, (sample, platform, at, result, status, advisories) in CASES.items():
                folder = out / case
                folder.mkdir(parents=True, exist_ok=True)
                quote = tar.extractfile(f"{top}/sample/{sample}").read()
                collateral = tar.extractfile(f"{top}/sample/{sample}_collateral.json").read()
                expect = {"result": result, "tcb_status": status}
                if advisories is not None:
                    expect["advisory_ids"] = advisories
                about = {
                    "name": case,
                    "platform": platform,
                    "verify_at": at,
                    "source": f"dcap-qvl {top}",
                    "expect": expect,
                }
                (folder / "quote.bin").write_bytes(quote[: quote_size(quote)])
                (folder / "collateral.json").write_bytes(collateral)
                (folder / "case.json").write_text(json.dumps(about, indent=1) + "\n")
        stamp.write_bytes(wanted)
    print(out)


if __name__ == "__main__":
    main()
