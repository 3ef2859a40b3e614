//! A pair whose classical half lives in a token (PKCS#11) that signs with it and never gives it out. The ML-DSA
//! half stays in its encrypted file, since few tokens hold one yet; what needs both needs the token.
//!
//! The key folder then holds a public file, `token.toml`, instead of the classical key: which library speaks to
//! the token, the token's label, the public key, and where the PIN may be read. Loading a library runs its code,
//! so that file is read only if nobody else can change it. Start at [`Token`] and [`TokenSigner`].

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use comity_core::{
    crypto::{CryptoFault, MlDsaSigner, PublicKey, Signer},
    ids::{hex, unhex},
    proto::{Algorithm, KeyRole},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use serde::{Deserialize, Serialize};

use super::{
    KeyFault, Passphrase, Purpose,
    folder::{self, read_private},
};

/// What says that the classical half of a folder's keys is in a token.
pub(super) const FILE: &str = "token.toml";
/// Far above what that file needs.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// "edwards25519" as a PrintableString, the name of the curve that PKCS#11 2.40 and 3.0 both know.
const CURVE: &[u8] = b"\x13\x0cedwards25519";
/// What a new key signs once, to see that the token does what everybody will check.
const TRIAL: &[u8] = b"comity token trial v1";

/// A token and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The library that speaks PKCS#11 for it.
    pub module: PathBuf,
    /// The label it was given when it was set up.
    pub label: String,
    /// The file its PIN is read from; without one a person is asked.
    pub pin_file: Option<PathBuf>,
}

/// `token.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    module: PathBuf,
    label: String,
    /// The Ed25519 public key in hexadecimal: which of the token's keys it is.
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin_file: Option<PathBuf>,
}

/// A logged-in session and the private key in it.
struct InToken {
    session: Session,
    private: ObjectHandle,
}

/// A pair of which the token signs one half.
pub(super) struct TokenSigner {
    classical: PublicKey,
    /// A session serves one thread at a time.
    token: Mutex<InToken>,
    quantum: MlDsaSigner,
}

impl Signer for TokenSigner {
    fn public(&self) -> [&PublicKey; 2] {
        [&self.classical, self.quantum.public()]
    }

    fn sign_ed25519(&self, message: &[u8]) -> Result<[u8; 64], CryptoFault> {
        let token = self.token.lock().map_err(|_| CryptoFault::BadKey)?;
        token.sign(message).ok().and_then(|signature| signature.try_into().ok()).ok_or(CryptoFault::BadKey)
    }

    fn sign_ml_dsa(&self, message: &[u8]) -> Result<Vec<u8>, CryptoFault> {
        self.quantum.sign(message)
    }
}

impl InToken {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.session.sign(&Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)), self.private, message)
    }
}

/// Whether a key folder says that its classical half is in a token.
pub(super) fn is_named_in(dir: &Path) -> bool {
    dir.join(FILE).exists()
}

impl Token {
    /// Makes a key in the token that cannot be read out of it, and has `keep` write `token.toml` beside the other
    /// half. If that fails the key is removed again; a crash before leaves a key in the token that nothing names.
    pub(super) fn create(
        &self,
        role: KeyRole,
        keep: impl FnOnce(&str) -> Result<(), KeyFault>,
    ) -> Result<(), KeyFault> {
        let session = self.log_in()?;
        let id = folder::random::<16>()?.to_vec();
        let label = format!("comity {}", role.as_str_name());
        let named = [Attribute::Token(true), Attribute::Id(id), Attribute::Label(label.into_bytes())];
        let public = [&named[..], &[Attribute::Verify(true), Attribute::EcParams(CURVE.to_vec())]].concat();
        let closed = [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)];
        let private = [&named[..], &closed[..], &[Attribute::Sign(true)]].concat();
        let made = session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private);
        let (public, private) = made.map_err(self.fault("make an Ed25519 key"))?;
        let token = InToken { session, private };
        let kept = self.described(&token, public, role).and_then(|text| keep(&text));
        if kept.is_err() {
            for key in [public, private] {
                if let Err(fault) = token.session.destroy_object(key) {
                    tracing::warn!(target: "keys", %fault, "a key that is not used is left in the token");
                }
            }
        }
        kept
    }

    /// The text of `token.toml` for a key that was tried out.
    fn described(&self, token: &InToken, public: ObjectHandle, role: KeyRole) -> Result<String, KeyFault> {
        let classical = self.public_key(&token.session, public, role)?;
        self.try_out(token, &classical)?;
        // A bare name is looked for where the system keeps libraries; a path must hold from any other place.
        let anywhere = |path: &PathBuf| match path.components().count() {
            0 | 1 => Ok(path.clone()),
            _ => std::path::absolute(path),
        };
        let pin_file = self.pin_file.as_ref().map(std::path::absolute).transpose();
        let kept = Kept {
            module: anywhere(&self.module).map_err(|cause| self.said("write down", &cause))?,
            label: self.label.clone(),
            public_key: hex(&classical.bytes),
            pin_file: pin_file.map_err(|cause| self.said("write down", &cause))?,
        };
        toml::to_string(&kept).map_err(|cause| self.said("write down", &cause))
    }

    /// Finds the key that `dir` says is in a token; `quantum` is the other half.
    pub(super) fn open(dir: &Path, role: KeyRole, quantum: MlDsaSigner) -> Result<TokenSigner, KeyFault> {
        let path = dir.join(FILE);
        let bytes = read_private(&path, FILE_BYTES_MAX)?;
        let damaged = |why| KeyFault::Damaged { path: path.clone(), why };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("is not text"))?;
        let kept: Kept = toml::from_str(text).map_err(|_| damaged("does not say module, label and public_key"))?;
        let bytes = unhex(&kept.public_key, "public key").ok().filter(|bytes| bytes.len() == 32);
        let bytes = bytes.ok_or_else(|| damaged("has no public key of 32 bytes"))?;
        let classical = PublicKey { role, algorithm: Algorithm::Ed25519, bytes };
        let token = Self { module: kept.module, label: kept.label, pin_file: kept.pin_file };
        let session = token.log_in()?;
        let private = token.private_key(&session, &classical)?;
        let in_token = InToken { session, private };
        token.try_out(&in_token, &classical)?;
        Ok(TokenSigner { classical, token: Mutex::new(in_token), quantum })
    }

    fn log_in(&self) -> Result<Session, KeyFault> {
        let library = Pkcs11::new(&self.module).map_err(self.fault("load the library"))?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {} // by another key of this process
            begun => begun.map_err(self.fault("begin"))?,
        }
        let mut fitting = Vec::new();
        for slot in library.get_slots_with_initialized_token().map_err(self.fault("list tokens"))? {
            if library.get_token_info(slot).map_err(self.fault("look at a token"))?.label().trim_end() == self.label {
                fitting.push(slot);
            }
        }
        let [slot] = fitting[..] else {
            return Err(KeyFault::NoToken { label: self.label.clone(), found: fitting.len() });
        };
        // For writing also when only signing: some libraries log in for such sessions alone.
        let session = library.open_rw_session(slot).map_err(self.fault("open a session"))?;
        let pin = AuthPin::from(Passphrase::obtain(self.pin_file.as_deref(), Purpose::Pin)?.text());
        match session.login(UserType::User, Some(&pin)) {
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {} // likewise
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) => {
                return Err(KeyFault::WrongPin { label: self.label.clone() });
            }
            entered => entered.map_err(self.fault("log in"))?,
        }
        Ok(session)
    }

    /// The raw 32 bytes. Most tokens wrap them in an octet string, as PKCS#11 2.40 has it; some give them bare.
    fn public_key(&self, session: &Session, handle: ObjectHandle, role: KeyRole) -> Result<PublicKey, KeyFault> {
        let read = session.get_attributes(handle, &[AttributeType::EcPoint]).map_err(self.fault("read a key"))?;
        let point = read.into_iter().find_map(|attribute| match attribute {
            Attribute::EcPoint(point) => Some(point.strip_prefix(b"\x04\x20").map(<[u8]>::to_vec).unwrap_or(point)),
            _ => None,
        });
        let bytes = point.filter(|point| point.len() == 32);
        let bytes = bytes.ok_or_else(|| self.said("read a key", &"it gives no Ed25519 point of 32 bytes"))?;
        Ok(PublicKey { role, algorithm: Algorithm::Ed25519, bytes })
    }

    /// The private key that stands under the same id as this public one.
    fn private_key(&self, session: &Session, key: &PublicKey) -> Result<ObjectHandle, KeyFault> {
        let missing = || KeyFault::NotInToken { id: key.id(), label: self.label.clone() };
        let edwards = |class| [Attribute::Class(class), Attribute::KeyType(KeyType::EC_EDWARDS)];
        let find = |template: &[Attribute]| session.find_objects(template).map_err(self.fault("find a key"));
        for public in find(&edwards(ObjectClass::PUBLIC_KEY))? {
            if self.public_key(session, public, key.role).ok().as_ref() != Some(key) {
                continue;
            }
            let id = session.get_attributes(public, &[AttributeType::Id]).map_err(self.fault("read a key"))?;
            let private = find(&[&edwards(ObjectClass::PRIVATE_KEY)[..], &id].concat())?;
            return private.first().copied().ok_or_else(missing);
        }
        Err(missing())
    }

    /// What the token signs must be what everybody checks, strictly.
    fn try_out(&self, token: &InToken, classical: &PublicKey) -> Result<(), KeyFault> {
        let signature = token.sign(TRIAL).map_err(self.fault("sign"))?;
        let verified = classical.verify(TRIAL, &signature);
        verified.map_err(|_| self.said("sign", &"its signature does not verify under the key it names"))
    }

    fn fault(&self, doing: &'static str) -> impl Fn(Error) -> KeyFault {
        move |cause| self.said(doing, &cause)
    }

    fn said(&self, doing: &'static str, cause: &dyn std::fmt::Display) -> KeyFault {
        KeyFault::Token { doing, module: self.module.clone(), cause: cause.to_string() }
    }
}
