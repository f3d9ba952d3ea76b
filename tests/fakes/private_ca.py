"""A certificate authority of our own, as trusted as its bundle is given, and a server's certificate from it."""

from datetime import timedelta
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from telefonist.types import utc_now

_SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class PrivateCA:
    """``bundle`` is what clients are to trust; ``server`` is what a server for ``localhost`` listens with."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nobody's Root CA")])
        authority = self._sign(
            self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0), _SIGNS_CERTIFICATES
        )
        self.bundle = folder / "root-ca.pem"
        self.bundle.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        self.server = self._context(folder / "server.pem")

    def _context(self, chain: Path) -> SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        localhost = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = self._sign(localhost, key.public_key(), x509.SubjectAlternativeName([x509.DNSName("localhost")]))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        """Sign a certificate that names both keys, without which Python from 3.13 on believes none."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(utc_now() - timedelta(days=1))
            .not_valid_after(utc_now() + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self._key, hashes.SHA256())
