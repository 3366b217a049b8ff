//! CPU time of one verification by sev (SEV-SNP), nsm-nitro-enclave-utils (Nitro) or jsonwebtoken (Azure tokens): from the
//! bytes of evidence, certificates and keys to the decision. Prints one JSON line, or says why the case was refused.
//!
//!     peer-platforms CASE_FOLDER UNIX_SECONDS      the folder's files say which platform it is
use anyhow::{anyhow, bail, ensure, Context, Result};
use jsonwebtoken::{decode, decode_header, Algorithm, DecodingKey, Validation};
use nsm_nitro_enclave_utils::{api::nsm::AttestationDoc, time::Time, verify::AttestationDocVerifierExt};
use sev::certs::snp::{ca, Certificate, Chain, Verifiable};
use sev::{firmware::guest::AttestationReport, parser::ByteParser};
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

/// It checks signatures: chain and report.
fn snp(report: &[u8], vek: &[u8], ask: &[u8], ark: &[u8]) -> Result<()> {
    let report = AttestationReport::from_bytes(report)?;
    let certificate = |der: &[u8]| Certificate::from_der(der).map_err(|e| anyhow!("{e}"));
    let chain = Chain { ca: ca::Chain { ark: certificate(ark)?, ask: certificate(ask)? }, vek: certificate(vek)? };
    (&chain, &report).verify()?;
    Ok(())
}

fn nitro(document: &[u8], root: &[u8], at: u64) -> Result<()> {
    let time = Time::new(Box::new(move || at * 1000));
    AttestationDoc::from_cose(document, root, time).map(drop).map_err(|e| anyhow!("{e:?}"))
}

/// Signature and issuer; the time is the caller's, because the case is of another day.
fn maa(token: &str, jwks: &[u8], issuer: &str) -> Result<()> {
    let header = decode_header(token)?;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(jwks)?;
    let key = keys.find(&header.kid.context("no kid")?).context("the key is not in the set")?;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.validate_exp = false;
    rules.set_issuer(&[issuer]);
    decode::<serde_json::Value>(token, &DecodingKey::from_jwk(key)?, &rules)?;
    Ok(())
}

fn measure(peer: &str, version: &str, once: &dyn Fn() -> Result<()>) -> Result<()> {
    let (begin, mut warm) = (cpu_us(), 0usize);
    while cpu_us() - begin < WARM_UP_US {
        once()?;
        warm += 1;
    }
    let size = ((BATCH_US / ((cpu_us() - begin) / warm as f64)) as usize).max(1);
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begin = cpu_us();
        for _ in 0..size {
            once()?;
        }
        batches.push((cpu_us() - begin) / size as f64);
    }
    batches.sort_by(f64::total_cmp);
    println!(
        "{{\"peer\":\"{peer}\",\"version\":\"{version}\",\"us\":{:.1},\"min_us\":{:.1},\"max_us\":{:.1},\"batch\":{size}}}",
        batches[BATCHES / 2], batches[0], batches[BATCHES - 1]
    );
    Ok(())
}

/// A verifier that accepts anything would be quick: `changed` must be refused where `good` is accepted.
fn judge(peer: &str, version: &str, good: &dyn Fn() -> Result<()>, changed: &dyn Fn() -> Result<()>) -> Result<()> {
    good().with_context(|| format!("{peer} refuses the case"))?;
    ensure!(changed().is_err(), "{peer} accepts changed evidence");
    measure(peer, version, good)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, at] = &arguments[..] else { bail!("usage: peer-platforms CASE_FOLDER UNIX_SECONDS") };
    let at: u64 = at.parse().context("UNIX_SECONDS")?;
    let read = |name: &str| fs::read(Path::new(folder).join(name)).with_context(|| name.to_string());
    let flip = |mut bytes: Vec<u8>, at: usize| {
        bytes[at] ^= 1;
        bytes
    };
    if let Ok(report) = read("report.bin") {
        let vek = read("vcek.der")?;
        let chain = pem::parse_many(read("cert_chain.pem")?)?;
        let root = pem::parse(read("root.pem")?)?.into_contents();
        let ask = chain.first().context("cert_chain.pem is empty")?.contents();
        let changed = flip(report.clone(), 100);
        let once = |report: &[u8]| snp(black_box(report), black_box(&vek), black_box(ask), black_box(&root));
        return judge("sev/crypto_nossl", "8.0.0", &|| once(&report), &|| once(&changed));
    }
    if let Ok(document) = read("attestation.cbor") {
        let root = pem::parse(read("root.pem")?)?.into_contents();
        let last = document.len() - 1;
        let changed = flip(document.clone(), last);
        let once = |document: &[u8]| nitro(black_box(document), black_box(&root), at);
        return judge("nsm-nitro-enclave-utils", "0.1.3", &|| once(&document), &|| once(&changed));
    }
    let token = String::from_utf8(read("token.jwt")?)?.trim().to_string();
    let jwks = read("jwks.json")?;
    let case: serde_json::Value = serde_json::from_slice(&read("case.json")?)?;
    let issuer = case["expected_issuer"].as_str().context("expected_issuer")?.to_string();
    let wrong_issuer = format!("{issuer}.example");
    let once = |issuer: &str| maa(black_box(&token), black_box(&jwks), issuer);
    judge("jsonwebtoken/aws_lc_rs", "11.1.0", &|| once(&issuer), &|| once(&wrong_issuer))
}
