// Verifies forged evidence with Google's go-tdx-guest and go-sev-guest, for tests/interop. They have their own parsers,
// their own X.509 (Go's) and their own reading of the vendors' rules, so what they accept is not only right by our own
// understanding.
//
//	interop verify FOLDER...      one JSON line per case folder: {"case","ok","error"}
//	interop fetch URL FOLDER...   the same for SEV-SNP reports alone: go-sev-guest gets the rest from a cache of AMD's KDS
//	interop sample tdx|snp FOLDER writes the real evidence that go-tdx-guest or go-sev-guest ships as a case folder
package main

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	samples "github.com/google/go-tdx-guest/testing"
	"github.com/google/go-tdx-guest/testing/testdata"
	"github.com/google/go-tdx-guest/verify"
)

// bundle is the QuoteCollateralV3 JSON; binary members are hex.
type bundle struct {
	PckCrlIssuerChain     string `json:"pck_crl_issuer_chain"`
	RootCaCrl             string `json:"root_ca_crl"`
	PckCrl                string `json:"pck_crl"`
	TcbInfoIssuerChain    string `json:"tcb_info_issuer_chain"`
	TcbInfo               string `json:"tcb_info"`
	TcbInfoSignature      string `json:"tcb_info_signature"`
	QeIdentityIssuerChain string `json:"qe_identity_issuer_chain"`
	QeIdentity            string `json:"qe_identity"`
	QeIdentitySignature   string `json:"qe_identity_signature"`
}

// Get answers as Intel's service would, from the bundle alone: nothing here reaches a network.
func (b *bundle) Get(address string) (map[string][]string, []byte, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	switch filepath.Base(target.Path) {
	case "tcb":
		body := fmt.Sprintf(`{"tcbInfo":%s,"signature":"%s"}`, b.TcbInfo, b.TcbInfoSignature)
		return header("Tcb-Info-Issuer-Chain", b.TcbInfoIssuerChain), []byte(body), nil
	case "identity":
		body := fmt.Sprintf(`{"enclaveIdentity":%s,"signature":"%s"}`, b.QeIdentity, b.QeIdentitySignature)
		return header("Sgx-Enclave-Identity-Issuer-Chain", b.QeIdentityIssuerChain), []byte(body), nil
	case "pckcrl":
		body, err := hex.DecodeString(b.PckCrl)
		return header("Sgx-Pck-Crl-Issuer-Chain", b.PckCrlIssuerChain), body, err
	case "IntelSGXRootCA.der":
		body, err := hex.DecodeString(b.RootCaCrl)
		return nil, body, err
	}
	return nil, nil, errors.New("the bundle has no answer for " + address)
}

func header(name, chain string) map[string][]string {
	return map[string][]string{name: {url.QueryEscape(chain)}}
}

func read(folder string, into any, name string) error {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// verifyCase gives nil when go-tdx-guest accepts the case under the case's own root.
func verifyCase(folder string) error {
	var about struct {
		VerifyAt time.Time `json:"verify_at"`
	}
	var collateral bundle
	if err := errors.Join(read(folder, &about, "case.json"), read(folder, &collateral, "collateral.json")); err != nil {
		return err
	}
	quote, err := os.ReadFile(filepath.Join(folder, "quote.bin"))
	if err != nil {
		return err
	}
	root, err := os.ReadFile(filepath.Join(folder, "root.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		return errors.New("root.pem has no certificate")
	}
	return verify.RawTdxQuote(quote, &verify.Options{
		CheckRevocations: true,
		GetCollateral:    true,
		Getter:           &collateral,
		Now:              about.VerifyAt,
		TrustedRoots:     roots,
	})
}

func verifyAny(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, "report.bin")); err == nil {
		return verifySnpCase(folder)
	}
	return verifyCase(folder)
}

func judgeAll(folders []string, judge func(string) error) error {
	lines := json.NewEncoder(os.Stdout)
	for _, folder := range folders {
		line := map[string]any{"case": folder, "ok": true, "error": ""}
		if err := judge(folder); err != nil {
			line["ok"], line["error"] = false, err.Error()
		}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// unescapedChain undoes the percent-encoding of an issuer chain in a response header.
func unescapedChain(headers map[string][]string, name string) (string, error) {
	values := headers[name]
	if len(values) != 1 {
		return "", fmt.Errorf("the sample has no %s", name)
	}
	return url.QueryUnescape(values[0])
}

// signedMember cuts the signed text and its signature out of a response body.
func signedMember(body []byte, name string) (string, string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return "", "", err
	}
	var signature string
	if err := json.Unmarshal(members["signature"], &signature); err != nil {
		return "", "", err
	}
	return string(members[name]), signature, nil
}

func writeSample(folder string) error {
	var out bundle
	var errs [5]error
	out.PckCrlIssuerChain, errs[0] = unescapedChain(samples.PckCrlHeader, "Sgx-Pck-Crl-Issuer-Chain")
	out.TcbInfoIssuerChain, errs[1] = unescapedChain(samples.TcbInfoHeader, "Tcb-Info-Issuer-Chain")
	out.QeIdentityIssuerChain, errs[2] = unescapedChain(samples.QeIdentityHeader, "Sgx-Enclave-Identity-Issuer-Chain")
	out.TcbInfo, out.TcbInfoSignature, errs[3] = signedMember(testdata.TcbInfoBody, "tcbInfo")
	out.QeIdentity, out.QeIdentitySignature, errs[4] = signedMember(testdata.QeIdentityBody, "enclaveIdentity")
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	out.PckCrl = hex.EncodeToString(testdata.PckCrlBody)
	out.RootCaCrl = hex.EncodeToString(testdata.RootCrlBody)
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	_, rest := pem.Decode([]byte(out.TcbInfoIssuerChain))
	quote := testdata.RawQuote
	// The file carries padding behind the quote: header and body of version 4 are 632 bytes, then a length.
	quote = quote[:636+int(binary.LittleEndian.Uint32(quote[632:]))]
	return errors.Join(os.MkdirAll(folder, 0o755),
		os.WriteFile(filepath.Join(folder, "collateral.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(folder, "root.pem"), bytes.TrimSpace(rest), 0o644),
		os.WriteFile(filepath.Join(folder, "quote.bin"), quote, 0o644))
}

func run(arguments []string) error {
	if len(arguments) >= 1 && arguments[0] == "verify" {
		return judgeAll(arguments[1:], verifyAny)
	}
	if len(arguments) >= 2 && arguments[0] == "fetch" {
		if err := redirectTo(arguments[1]); err != nil {
			return err
		}
		return judgeAll(arguments[2:], fetchSnpCase)
	}
	if len(arguments) == 3 && arguments[0] == "sample" && arguments[1] == "tdx" {
		return writeSample(arguments[2])
	}
	if len(arguments) == 3 && arguments[0] == "sample" && arguments[1] == "snp" {
		return writeSnpSample(arguments[2])
	}
	return errors.New("usage: interop verify FOLDER... | interop fetch URL FOLDER... | interop sample tdx|snp FOLDER")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(2)
	}
}
