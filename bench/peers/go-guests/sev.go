package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"
)

// list answers as AMD's KDS would for the one revocation list that the case has.
type list []byte

func (l list) Get(string) ([]byte, error) { return l, nil }

// runSnp measures go-sev-guest on a case of a Genoa processor with a VCEK. It keeps the root that it is given, as it keeps
// AMD's, and parses everything else on every call.
func runSnp(folder string, at int64) error {
	const line = "Genoa"
	var errs []error
	read := func(name string) []byte {
		bytes, err := os.ReadFile(filepath.Join(folder, name))
		errs = append(errs, err)
		return bytes
	}
	report, vcek, pems, anchor, crl := read("report.bin"), read("vcek.der"), read("cert_chain.pem"), read("root.pem"), read("crl.der")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	ask, ark, err := kds.ParseProductCertChain(pems)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(anchor)
	if block == nil {
		return errors.New("root.pem is no PEM")
	}
	root := trust.AMDRootCertsProduct(line)
	root.ProductCerts = &trust.ProductCerts{}
	if root.ProductCerts.Ark, err = x509.ParseCertificate(block.Bytes); err != nil {
		return err
	}
	if root.ProductCerts.Ask, err = x509.ParseCertificate(ask); err != nil {
		return err
	}
	judge := func(report []byte) error {
		parsed, err := abi.ReportToProto(report)
		if err != nil {
			return err
		}
		root.CRL = nil // fetched, parsed and verified anew
		return verify.SnpAttestation(&spb.Attestation{
			Report: parsed,
			CertificateChain: &spb.CertificateChain{
				VcekCert: vcek, AskCert: ask, ArkCert: ark, Extras: map[string][]byte{},
			},
		}, &verify.Options{
			CheckRevocations:    true,
			DisableCertFetching: true,
			Getter:              list(crl),
			Now:                 time.Unix(at, 0),
			TrustedRoots:        map[string][]*trust.AMDRootCerts{line: {root}},
		})
	}
	if err := judge(report); err != nil {
		return fmt.Errorf("go-sev-guest refuses the case: %w", err)
	}
	changed := append([]byte{}, report...)
	changed[100] ^= 1
	if judge(changed) == nil {
		return errors.New("go-sev-guest accepts a changed report")
	}
	return measure("go-sev-guest", "0.15.0", func() error { return judge(report) })
}
