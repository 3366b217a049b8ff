// CPU time of one verification by Google's go-tdx-guest or go-sev-guest: from the bytes of the evidence and of the answers
// of the vendor's service to its decision. Prints one JSON line, or says why the case was refused.
//
//	go-guests CASE_FOLDER UNIX_SECONDS      a folder with report.bin is go-sev-guest's
package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"time"

	"github.com/google/go-tdx-guest/verify"
)

const (
	batches  = 9
	warmUpUs = 300_000.0
	batchUs  = 200_000.0
)

type answer struct {
	header map[string][]string
	body   []byte
}

// answers are those of Intel's service by the last part of the path, as they come off the wire. They are made from the
// bundle once, outside the measured time: the bundle is not the format that go-tdx-guest reads.
type answers map[string]answer

func (a answers) Get(address string) (map[string][]string, []byte, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	found, ok := a[filepath.Base(target.Path)]
	if !ok {
		return nil, nil, errors.New("the bundle has no answer for " + address)
	}
	return found.header, found.body, nil
}

func readAnswers(folder string) (answers, error) {
	text, err := os.ReadFile(filepath.Join(folder, "collateral.json"))
	if err != nil {
		return nil, err
	}
	var of map[string]string
	if err := json.Unmarshal(text, &of); err != nil {
		return nil, err
	}
	pckCrl, errPck := hex.DecodeString(of["pck_crl"])
	rootCrl, errRoot := hex.DecodeString(of["root_ca_crl"])
	if err := errors.Join(errPck, errRoot); err != nil {
		return nil, err
	}
	chain := func(name, member string) map[string][]string {
		return map[string][]string{name: {url.QueryEscape(of[member])}}
	}
	signed := func(name, member string) []byte {
		return []byte(fmt.Sprintf(`{"%s":%s,"signature":"%s"}`, name, of[member], of[member+"_signature"]))
	}
	return answers{
		"tcb":                {chain("Tcb-Info-Issuer-Chain", "tcb_info_issuer_chain"), signed("tcbInfo", "tcb_info")},
		"identity":           {chain("Sgx-Enclave-Identity-Issuer-Chain", "qe_identity_issuer_chain"), signed("enclaveIdentity", "qe_identity")},
		"pckcrl":             {chain("Sgx-Pck-Crl-Issuer-Chain", "pck_crl_issuer_chain"), pckCrl},
		"IntelSGXRootCA.der": {nil, rootCrl},
	}, nil
}

// cpuUs includes the threads of the garbage collector: their work is part of the price.
func cpuUs() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e3
}

func measure(peer, version string, once func() error) error {
	begin, warm := cpuUs(), 0
	for ; cpuUs()-begin < warmUpUs; warm++ {
		if err := once(); err != nil {
			return err
		}
	}
	size := int(batchUs/((cpuUs()-begin)/float64(warm))) + 1
	var us []float64
	for range [batches]struct{}{} {
		begin := cpuUs()
		for i := 0; i < size; i++ {
			if err := once(); err != nil {
				return err
			}
		}
		us = append(us, (cpuUs()-begin)/float64(size))
	}
	sort.Float64s(us)
	_, err := fmt.Printf(`{"peer":"%s","version":"%s","us":%.1f,"min_us":%.1f,"max_us":%.1f,"batch":%d}`+"\n",
		peer, version, us[batches/2], us[0], us[batches-1], size)
	return err
}

func run(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("usage: go-guests CASE_FOLDER UNIX_SECONDS")
	}
	folder := arguments[0]
	at, errAt := strconv.ParseInt(arguments[1], 10, 64)
	if _, err := os.Stat(filepath.Join(folder, "report.bin")); err == nil && errAt == nil {
		return runSnp(folder, at)
	}
	quote, errQuote := os.ReadFile(filepath.Join(folder, "quote.bin"))
	root, errRoot := os.ReadFile(filepath.Join(folder, "root.pem"))
	collateral, errCollateral := readAnswers(folder)
	if err := errors.Join(errAt, errQuote, errRoot, errCollateral); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		return errors.New("root.pem has no certificate")
	}
	judge := func(quote []byte) error {
		return verify.RawTdxQuote(quote, &verify.Options{
			CheckRevocations: true,
			GetCollateral:    true,
			Getter:           collateral,
			Now:              time.Unix(at, 0),
			TrustedRoots:     roots,
		})
	}
	if err := judge(quote); err != nil {
		return fmt.Errorf("go-tdx-guest refuses the case: %w", err)
	}
	// A verifier that accepts anything would be quick: one changed bit of the signed part must be refused.
	changed := append([]byte{}, quote...)
	changed[100] ^= 1
	if judge(changed) == nil {
		return errors.New("go-tdx-guest accepts a changed quote")
	}
	return measure("go-tdx-guest", "0.3.1", func() error { return judge(quote) })
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}
