package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"
)

// User is a user of the server's access control list.
type User struct {
	// Name and Password are what a client logs in with. The password has no spaces.
	Name, Password string

	// Rules are what the user may do, as in ACL SETUSER: "~session:* +hgetall +evalsha". A user without
	// rules may do nothing.
	Rules string
}

// line returns the user as a line of redis.conf.
func (u User) line() string { return fmt.Sprintf("user %s on >%s %s", u.Name, u.Password, u.Rules) }

// UserURL returns the server's address as a URL with which a client logs in as a user,
// "redis://name:password@127.0.0.1:12345".
func (s *Server) UserURL(u User) string {
	return (&url.URL{Scheme: "redis", User: url.UserPassword(u.Name, u.Password), Host: s.Addr()}).String()
}

// TLSAddr returns the address at which the server speaks TLS. It panics without [Options.TLS].
func (s *Server) TLSAddr() string {
	s.mustIdentity()
	return address(s.tlsPort)
}

// TLSURL returns the address at which the server speaks TLS as a URL, "rediss://127.0.0.1:12345". It panics
// without [Options.TLS].
func (s *Server) TLSURL() string { return "rediss://" + s.TLSAddr() }

// TLSConfig returns what a client needs to trust the server's certificate. Each call returns a value of its
// own. It panics without [Options.TLS].
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{
		RootCAs:    s.mustIdentity().pool,
		ServerName: "127.0.0.1",
		MinVersion: tls.VersionTLS12,
	}
}

// CAFile returns the name of a PEM file with the certificate of the authority that signed the server's own. It
// panics without [Options.TLS].
func (s *Server) CAFile() string {
	s.mustIdentity()
	return s.file("ca.pem")
}

func (s *Server) mustIdentity() *identity {
	if s.identity == nil {
		panic("redistest: the server has no TLS: see Options.TLS")
	}
	return s.identity
}

// errGroupTLS says that TLS was asked for where servers also talk to each other.
var errGroupTLS = errors.New("TLS is for single servers only")

// identity is a certificate for 127.0.0.1 and localhost, with its authority.
type identity struct {
	ca, cert, key []byte // PEM
	pool          *x509.CertPool
}

// newIdentity makes an identity that is valid for a day.
func newIdentity() (*identity, error) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "redistest authority"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "redistest server"},
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	return sign(authority, server)
}

// sign makes the keys and certificates.
func sign(authority, server *x509.Certificate) (*identity, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, server, authority, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	id := &identity{
		ca:   encode("CERTIFICATE", ca),
		cert: encode("CERTIFICATE", cert),
		key:  encode("PRIVATE KEY", secret),
		pool: x509.NewCertPool(),
	}
	id.pool.AppendCertsFromPEM(id.ca)
	return id, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// tlsLines chooses a port for TLS, writes the files that the server needs for it, and returns the lines of
// redis.conf. Without an identity there are none.
func (s *Server) tlsLines() ([]string, error) {
	if s.identity == nil {
		return nil, nil
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.tlsPort = port
	lines := []string{"tls-port " + strconv.Itoa(port), "tls-auth-clients no"}
	for _, f := range []struct {
		name, directive string
		data            []byte
	}{
		{"ca.pem", "tls-ca-cert-file", s.identity.ca},
		{"cert.pem", "tls-cert-file", s.identity.cert},
		{"key.pem", "tls-key-file", s.identity.key},
	} {
		if err := os.WriteFile(s.file(f.name), f.data, 0o600); err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s %q", f.directive, s.file(f.name)))
	}
	return lines, nil
}
