//! A CA and leaves of our own: in memory for `--tls-self-signed`, in files for `berth certs dev`. ECDSA P-256: a full
//! handshake costs a fifth of what RSA-2048 does.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::Identity;
use crate::validity::Validity;

/// What every leaf is for.
pub const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How long a leaf lives.
pub const LEAF_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How long the CA lives.
const CA_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);
/// A client's clock may be behind ours.
const BACKDATED: Duration = Duration::from_hours(1);

/// Signs leaves.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    validity: Validity,
}

/// A leaf and its key.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate.
    pub certificate: rcgen::Certificate,
    /// Its key.
    pub key: KeyPair,
    /// Its time.
    pub validity: Validity,
}

impl Authority {
    /// A new CA.
    pub fn new(now: OffsetDateTime) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("berth self-signed CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let validity = times(now, CA_LIFETIME);
        params.not_before = validity.not_before;
        params.not_after = validity.not_after;
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer, validity })
    }

    /// The CA's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A new leaf for a server, with a new key, for loopback and the names.
    pub fn leaf(
        &self,
        names: &[String],
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Leaf, rcgen::Error> {
        let mut all: Vec<String> = LOOPBACK.map(str::to_owned).into();
        all.extend_from_slice(names);
        self.sign(all, &[ExtendedKeyUsagePurpose::ServerAuth], now, lifetime)
    }

    /// A new leaf for a client of that name.
    pub fn client(&self, name: &str, now: OffsetDateTime) -> Result<Leaf, rcgen::Error> {
        let names = vec![name.to_owned()];
        self.sign(
            names,
            &[ExtendedKeyUsagePurpose::ClientAuth],
            now,
            LEAF_LIFETIME,
        )
    }

    /// A new leaf with a new key.
    pub(crate) fn sign(
        &self,
        names: Vec<String>,
        usages: &[ExtendedKeyUsagePurpose],
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Leaf, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = common_name("berth");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let validity = times(now, lifetime);
        params.not_before = validity.not_before;
        params.not_after = validity.not_after;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            certificate,
            key,
            validity,
        })
    }
}

impl From<Leaf> for Identity {
    fn from(leaf: Leaf) -> Self {
        let key = PrivatePkcs8KeyDer::from(leaf.key.serialize_der());
        Self {
            chain: vec![leaf.certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(key),
            validity: leaf.validity,
        }
    }
}

fn times(now: OffsetDateTime, lifetime: Duration) -> Validity {
    Validity {
        not_before: now - BACKDATED,
        not_after: now + lifetime,
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A CA that is kept while its time is, and leaves that are renewed.
#[derive(Debug)]
pub struct SelfSigned {
    authority: Authority,
    names: Vec<String>,
    lifetime: Duration,
}

impl SelfSigned {
    /// A new CA for leaves of these names.
    pub fn new(
        names: Vec<String>,
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        Ok(Self {
            authority: Authority::new(now)?,
            names,
            lifetime,
        })
    }

    /// The CA's certificate, PEM.
    #[must_use]
    pub fn ca(&self) -> String {
        self.authority.pem()
    }

    /// A fresh leaf.
    pub fn issue(&self, now: OffsetDateTime) -> Result<Identity, rcgen::Error> {
        let leaf = self.authority.leaf(&self.names, now, self.lifetime)?;
        Ok(leaf.into())
    }

    /// A CA to take over, where this one would not be accepted for the whole life of a leaf: because ten years have gone
    /// by, or because the clock was ahead when it was made.
    pub fn successor(&self, now: OffsetDateTime) -> Result<Option<Authority>, rcgen::Error> {
        let validity = self.authority.validity;
        let lasts = validity.check(now).and(validity.check(now + self.lifetime));
        lasts.err().map(|_| Authority::new(now)).transpose()
    }

    /// From now on, this CA signs.
    pub fn succeed(&mut self, authority: Authority) {
        self.authority = authority;
    }

    /// Whether a leaf is to be renewed: at two thirds of its life, or where the clock was ahead when it was made.
    #[must_use]
    pub fn is_due(&self, leaf: Validity, now: OffsetDateTime) -> bool {
        now < leaf.not_before || now >= leaf.not_after - self.lifetime / 3
    }
}
