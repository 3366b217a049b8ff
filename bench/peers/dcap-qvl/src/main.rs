//! CPU time of one verification by dcap-qvl with ring: from the bytes of the quote and the JSON of the collateral to its
//! report. Prints one JSON line, or says why the case was refused.
//!
//!     peer-dcap-qvl CASE_FOLDER UNIX_SECONDS

use anyhow::{bail, ensure, Context, Result};
use dcap_qvl::{configs::RingConfig, verify::QuoteVerifier, QuoteCollateralV3};
use std::{fs, hint::black_box, path::Path};

const BATCHES: usize = 9;
const WARM_UP_US: f64 = 300_000.0;
const BATCH_US: f64 = 200_000.0;

fn cpu_us() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one timespec, and `now` is one.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    assert_eq!(result, 0, "no CPU clock");
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

fn verify(verifier: &QuoteVerifier<RingConfig>, quote: &[u8], collateral: &[u8], at: u64) -> Result<String> {
    let collateral: QuoteCollateralV3 = serde_json::from_slice(collateral).context("collateral.json")?;
    Ok(verifier.verify(quote, &collateral, at)?.status)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, at] = &arguments[..] else { bail!("usage: peer-dcap-qvl CASE_FOLDER UNIX_SECONDS") };
    let at: u64 = at.parse().context("UNIX_SECONDS")?;
    let read = |name: &str| fs::read(Path::new(folder).join(name)).with_context(|| name.to_string());
    let (quote, collateral) = (read("quote.bin")?, read("collateral.json")?);
    let root = pem::parse(read("root.pem")?).context("root.pem")?.into_contents();
    let verifier = QuoteVerifier::<RingConfig>::new_with_config(root);
    let once = || verify(&verifier, black_box(&quote), black_box(&collateral), at);

    let status = once().context("dcap-qvl refuses the case")?;
    ensure!(status == "UpToDate", "dcap-qvl finds {status} where the case is UpToDate");
    // A verifier that accepts anything would be quick: one changed bit of the signed part must be refused.
    let mut changed = quote.clone();
    *changed.get_mut(100).context("quote.bin is too short")? ^= 1;
    ensure!(verify(&verifier, &changed, &collateral, at).is_err(), "dcap-qvl accepts a changed quote");

    let (begin, mut warm) = (cpu_us(), 0usize);
    while cpu_us() - begin < WARM_UP_US {
        black_box(once()?);
        warm += 1;
    }
    let size = ((BATCH_US / ((cpu_us() - begin) / warm as f64)) as usize).max(1);
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begin = cpu_us();
        for _ in 0..size {
            black_box(once()?);
        }
        batches.push((cpu_us() - begin) / size as f64);
    }
    batches.sort_by(f64::total_cmp);
    println!(
        "{{\"peer\":\"dcap-qvl/ring\",\"version\":\"0.7.0\",\"us\":{:.1},\"min_us\":{:.1},\"max_us\":{:.1},\"batch\":{size}}}",
        batches[BATCHES / 2], batches[0], batches[BATCHES - 1]
    );
    Ok(())
}
