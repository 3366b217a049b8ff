//! Verifies forged evidence with the crates `sev` (AMD SEV-SNP) and `nsm-nitro-enclave-utils` (AWS Nitro), for
//! tests/interop: other parsers, other cryptography, another reading of the vendors' rules.
//!
//!     interop AT verify FOLDER...    one JSON line per case folder: {"case","ok","error"}; AT in seconds
use std::error::Error;
use std::fs;
use std::path::Path;

use nsm_nitro_enclave_utils::api::nsm::AttestationDoc;
use nsm_nitro_enclave_utils::time::Time;
use nsm_nitro_enclave_utils::verify::AttestationDocVerifierExt;
use sev::certs::snp::{ca, Certificate, Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

type Outcome = Result<(), Box<dyn Error>>;

/// The DER of all certificates of a PEM text.
fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut found = Vec::new();
    for item in rustls_pki_types::pem::PemObject::pem_slice_iter(pem.as_bytes()) {
        let certificate: rustls_pki_types::CertificateDer = item.map_err(|e| format!("{e:?}"))?;
        found.push(certificate.to_vec());
    }
    Ok(found)
}

/// The crate knows signatures only: chain and report. It takes its root from us.
fn verify_snp(folder: &Path) -> Outcome {
    let report = AttestationReport::from_bytes(&fs::read(folder.join("report.bin"))?)?;
    let key = ["vcek.der", "vlek.der"].iter().map(|name| folder.join(name)).find(|path| path.exists());
    let vek = Certificate::from_der(&fs::read(key.ok_or("no vcek.der, no vlek.der")?)?)?;
    let chain = certificates(&fs::read_to_string(folder.join("cert_chain.pem"))?)?;
    let root = certificates(&fs::read_to_string(folder.join("root.pem"))?)?;
    let ask = Certificate::from_der(chain.first().ok_or("cert_chain.pem has no certificate")?)?;
    let ark = Certificate::from_der(root.first().ok_or("root.pem has no certificate")?)?;
    let chain = Chain { ca: ca::Chain { ark, ask }, vek };
    (&chain, &report).verify()?;
    Ok(())
}

fn verify_nitro(folder: &Path, seconds: u64) -> Outcome {
    let root = certificates(&fs::read_to_string(folder.join("root.pem"))?)?;
    let root = root.first().ok_or("root.pem has no certificate")?;
    // The crate wants milliseconds.
    let time = Time::new(Box::new(move || seconds * 1000));
    AttestationDoc::from_cose(&fs::read(folder.join("attestation.cbor"))?, root, time).map_err(|e| format!("{e:?}"))?;
    Ok(())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let at = arguments.next().and_then(|text| text.parse::<u64>().ok());
    let (Some(at), Some("verify")) = (at, arguments.next().as_deref()) else {
        eprintln!("usage: interop AT verify FOLDER...");
        std::process::exit(2);
    };
    for folder in arguments {
        let path = Path::new(&folder);
        let outcome = if path.join("report.bin").exists() { verify_snp(path) } else { verify_nitro(path, at) };
        let error = outcome.as_ref().err().map(|e| e.to_string()).unwrap_or_default();
        println!("{}", serde_json::json!({"case": folder, "ok": outcome.is_ok(), "error": error}));
    }
}
