package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/testdata"
	"github.com/google/go-sev-guest/verify/trust"
)

// revocations answers as AMD's KDS would for the one list that a case has.
type revocations []byte

func (r revocations) Get(address string) ([]byte, error) {
	if !strings.HasSuffix(address, "/crl") {
		return nil, errors.New("the case has no answer for " + address)
	}
	return r, nil
}

// productLine is the second part of a kind's name: snp-milan-v3 gives Milan.
func productLine(kind string) string {
	name := strings.Split(kind, "-")[1]
	return strings.ToUpper(name[:1]) + name[1:]
}

// certificate gives the DER of the first certificate that a PEM file has.
func certificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(path + " is no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// verifySnpCase gives nil when go-sev-guest accepts the case under the case's own root, revocation list included.
func verifySnpCase(folder string) error {
	var about struct {
		Kind     string    `json:"kind"`
		VerifyAt time.Time `json:"verify_at"`
	}
	if err := read(folder, &about, "case.json"); err != nil {
		return err
	}
	line := productLine(about.Kind)
	raw, err := os.ReadFile(filepath.Join(folder, "report.bin"))
	if err != nil {
		return err
	}
	report, err := abi.ReportToProto(raw)
	if err != nil {
		return err
	}
	chain := &spb.CertificateChain{Extras: map[string][]byte{}}
	if key, err := os.ReadFile(filepath.Join(folder, "vlek.der")); err == nil {
		chain.VlekCert = key
	} else if chain.VcekCert, err = os.ReadFile(filepath.Join(folder, "vcek.der")); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(folder, "cert_chain.pem"))
	if err != nil {
		return err
	}
	if chain.AskCert, chain.ArkCert, err = kds.ParseProductCertChain(text); err != nil {
		return err
	}
	anchor, err := certificate(filepath.Join(folder, "root.pem"))
	if err != nil {
		return err
	}
	intermediate, err := x509.ParseCertificate(chain.AskCert)
	if err != nil {
		return err
	}
	root := trust.AMDRootCertsProduct(line)
	root.ProductCerts = &trust.ProductCerts{Ark: anchor}
	if len(chain.VlekCert) > 0 {
		root.ProductCerts.Asvk = intermediate
	} else {
		root.ProductCerts.Ask = intermediate
	}
	list, err := os.ReadFile(filepath.Join(folder, "crl.der"))
	if err != nil {
		return err
	}
	product, err := kds.ParseProductLine(line)
	if err != nil {
		return err
	}
	return verify.SnpAttestation(&spb.Attestation{Report: report, CertificateChain: chain, Product: product}, &verify.Options{
		// Asked about revocation for a VLEK, v0.15.0 reads the ASK, which such a chain does not have, and panics.
		CheckRevocations:    root.ProductCerts.Ask != nil,
		DisableCertFetching: true,
		Getter:              revocations(list),
		Now:                 about.VerifyAt,
		TrustedRoots:        map[string][]*trust.AMDRootCerts{line: {root}},
		Product:             product,
	})
}

// writeSnpSample writes go-sev-guest's own real report with AMD's certificates as a case folder.
func writeSnpSample(folder string) error {
	return errors.Join(os.MkdirAll(folder, 0o755),
		os.WriteFile(filepath.Join(folder, "report.bin"), testdata.AttestationBytes[:abi.ReportSize], 0o644),
		os.WriteFile(filepath.Join(folder, "vcek.der"), testdata.VcekBytes, 0o644),
		os.WriteFile(filepath.Join(folder, "cert_chain.pem"), testdata.MilanVcekBytes, 0o644))
}

// redirect is a transport to a cache of AMD's service: every request for that service goes to the cache, as it would
// through a name server or a proxy, and no other request goes anywhere.
type redirect struct{ cache *url.URL }

func (r redirect) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" || request.URL.Host != "kdsintf.amd.com" {
		return nil, errors.New("not AMD's service: " + request.URL.String())
	}
	sent := request.Clone(request.Context())
	sent.URL.Scheme, sent.URL.Host, sent.Host = r.cache.Scheme, r.cache.Host, r.cache.Host
	return http.DefaultTransport.RoundTrip(sent)
}

// redirectTo makes the client that go-sev-guest's own getter uses go to the cache.
func redirectTo(cache string) error {
	target, err := url.Parse(cache)
	if err != nil {
		return err
	}
	http.DefaultClient.Transport = redirect{cache: target}
	return nil
}

// fetchSnpCase gives nil when go-sev-guest accepts the report of a case with the certificates and the revocation list
// that its own getter finds; of the case's folder it sees the report and the root to trust.
func fetchSnpCase(folder string) error {
	var about struct {
		Kind     string    `json:"kind"`
		VerifyAt time.Time `json:"verify_at"`
	}
	if err := read(folder, &about, "case.json"); err != nil {
		return err
	}
	line := productLine(about.Kind)
	product, err := kds.ParseProductLine(line)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(folder, "report.bin"))
	if err != nil {
		return err
	}
	report, err := abi.ReportToProto(raw)
	if err != nil {
		return err
	}
	anchor, err := certificate(filepath.Join(folder, "root.pem"))
	if err != nil {
		return err
	}
	getter := &trust.SimpleHTTPSGetter{}
	found, err := trust.GetProductChain(line, abi.VcekReportSigner, getter)
	if err != nil {
		return err
	}
	root := trust.AMDRootCertsProduct(line)
	root.ProductCerts = &trust.ProductCerts{Ark: anchor, Ask: found.Ask}
	return verify.SnpAttestation(&spb.Attestation{Report: report, Product: product}, &verify.Options{
		CheckRevocations: true,
		Getter:           getter,
		Now:              about.VerifyAt,
		TrustedRoots:     map[string][]*trust.AMDRootCerts{line: {root}},
		Product:          product,
	})
}
