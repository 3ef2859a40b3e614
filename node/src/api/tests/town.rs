//! Two real nodes in this process, Arvia and Belmar, with their APIs on real sockets.
//!
//! ```text
//! client --socket--> arvia ==TLS on loopback==> belmar <--socket-- client
//! ```

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use comity_core::{
    crypto::{HybridSigner, PublicKey, Seed, sha256},
    founding::{self, Founder, Office},
    ids::{Digest, NetworkName, PartyCode},
    officer::ROLL_TYPE,
    profile::{CHARTER_TYPE, FOUR_EYES, Profile, document, document_id, node_key, signing_message},
    proto::{self, Algorithm, KeyRole},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    conduct::CutOff,
    config::{Address, BackupSettings, Settings},
    handle::View,
    keys::{Keyring, Passphrase, Purpose},
    net::{self, Net, NetEvent, NetSettings, Roster},
    runtime::{CHARTER_FILE, Node, PROFILES_FOLDER, load_trust, start},
    telemetry::{Format, Level},
    time,
};

/// An answer: status, heads, and the body as JSON, or null.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    /// The body as it came.
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    /// A body that is text.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("text")
    }

    /// The code of a problem.
    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.headers[name].to_str().expect("text").to_owned()
    }
}

/// A node with its API.
pub(super) struct Town {
    node: Node,
    pub(super) socket: PathBuf,
    serving: JoinHandle<()>,
    stop: CancellationToken,
}

impl Town {
    async fn open(settings: Settings, keys: Keyring) -> Self {
        let node = start(&settings, keys).await.expect("starts");
        let stop = CancellationToken::new();
        let socket = settings.api_socket;
        let rooms = (node.handle(), node.evidence(), node.backups());
        let serving = crate::api::serve(rooms.0, rooms.1, rooms.2, &socket, stop.clone()).await.expect("serves");
        Self { node, socket, serving, stop }
    }

    pub(super) async fn close(self) {
        self.stop.cancel();
        self.serving.await.expect("served to the end");
        self.node.stop().await.expect("stopped well");
        assert!(!self.socket.exists());
    }

    /// What is seen of a running node from within.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.node.handle().view)
    }

    /// Tells the API to stop, as the end of the process does.
    pub(super) fn let_go(&self) {
        self.stop.cancel();
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.ask("PUT", path, &headers, &body.to_string()).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = UnixStream::connect(&self.socket).await.expect("answers");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        let connection = tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "comity");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
        let response = sender.send_request(request).await.expect("a response");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        connection.abort();
        let is_json = head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
        let body = match bytes.is_empty() {
            true => Value::Null,
            false if is_json => serde_json::from_slice(&bytes).expect("JSON"),
            false => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        Answer { status: head.status.as_u16(), headers: head.headers, body, bytes: bytes.to_vec() }
    }
}

/// Somebody with Belmar's keys.
pub(super) struct Rogue {
    pub(super) net: Net,
    pub(super) keys: Keyring,
    /// Of the charter, which is no secret.
    pub(super) fingerprint: Digest,
}

/// Arvia and Belmar, linked.
pub(super) struct Federation {
    pub(super) arvia: Town,
    pub(super) belmar: Town,
    _folder: TempDir,
}

impl Federation {
    pub(super) async fn of_two() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let codes = ["XA", "XB"].map(|code| PartyCode::parse(code).expect("code"));
        let keyrings = codes.each_ref().map(|code| keyring(&folder.path().join(code.as_str())));
        let fingerprint = found(folder.path(), &codes, &keyrings, &[]);
        Self::open(folder, &codes, fingerprint, keyrings).await
    }

    /// The same, where nothing leaves Arvia without two officers; and a roll of these, in each of these versions.
    pub(super) async fn of_two_with_officers(rolls: &[&dyn Fn(&mut proto::Roll)]) -> (Self, Vec<Vec<u8>>) {
        let folder = tempfile::tempdir().expect("folder");
        let codes = ["XA", "XB"].map(|code| PartyCode::parse(code).expect("code"));
        let keyrings = codes.each_ref().map(|code| keyring(&folder.path().join(code.as_str())));
        let declared = proto::Declaration { code: FOUR_EYES.to_owned(), value: "required".to_owned() };
        let fingerprint = found(folder.path(), &codes, &keyrings, &[declared]);
        let trust = load_trust(&folder.path().join("XA"), fingerprint, time::now()).expect("loads");
        let profile = trust.profile(&codes[0], time::now()).expect("its profile");
        let signed = (1..).zip(rolls).map(|(version, change)| roll(profile, &keyrings[0], version, change)).collect();
        (Self::open(folder, &codes, fingerprint, keyrings).await, signed)
    }

    async fn open(folder: TempDir, codes: &[PartyCode; 2], fingerprint: Digest, keyrings: [Keyring; 2]) -> Self {
        let [arvia_keys, belmar_keys] = keyrings;
        let settings = |code: &PartyCode| settings(&folder.path().join(code.as_str()), code, fingerprint);
        let belmar = Town::open(settings(&codes[1]), belmar_keys).await;
        let at = belmar.node.handle().view().listening[0].clone();
        let peers = BTreeMap::from([(codes[1].clone(), vec![Address::parse(&at).expect("an address")])]);
        let arvia = Town::open(Settings { peers, ..settings(&codes[0]) }, arvia_keys).await;
        Self { arvia, belmar, _folder: folder }
    }

    /// Arvia, and in Belmar's place somebody with Belmar's keys who sends what it likes.
    pub(super) async fn with_rogue() -> (Town, Rogue, mpsc::Receiver<NetEvent>, TempDir) {
        let folder = tempfile::tempdir().expect("folder");
        let codes = ["XA", "XB"].map(|code| PartyCode::parse(code).expect("code"));
        let keyrings = codes.each_ref().map(|code| keyring(&folder.path().join(code.as_str())));
        let fingerprint = found(folder.path(), &codes, &keyrings, &[]);
        let named = keyrings[0].for_profile(&network(), &codes[0]).expect("keys").node.expect("a node");
        let transport = node_key(&named.peer_id).expect("a key");
        let roster = Roster::new([(codes[0].clone(), vec![transport], Vec::new())]).expect("a roster");
        let (_, cut_off) = watch::channel(CutOff::default());
        let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let rogue = NetSettings { listen, require_hybrid: true, agent: "rogue".to_owned(), cut_off };
        let (events, events_out) = mpsc::channel(64);
        let trust = load_trust(&folder.path().join("XA"), fingerprint, time::now()).expect("loads");
        let seed = trust.profile(&codes[1], time::now()).and_then(|profile| keyrings[1].transport_seed(profile));
        let rogue = net::start(rogue, seed.expect("named"), roster, events).await.expect("starts");
        let at = Address::parse(&rogue.listen_addresses()[0]).expect("an address");
        let settings = settings(&folder.path().join("XA"), &codes[0], fingerprint);
        let peers = BTreeMap::from([(codes[1].clone(), vec![at])]);
        let [arvia_keys, keys] = keyrings;
        let arvia = Town::open(Settings { peers, ..settings }, arvia_keys).await;
        (arvia, Rogue { net: rogue, keys, fingerprint }, events_out, folder)
    }

    pub(super) async fn close(self) {
        self.arvia.close().await;
        self.belmar.close().await;
    }
}

fn settings(data: &Path, party: &PartyCode, charter: Digest) -> Settings {
    Settings {
        witness_beat: Duration::from_secs(1),
        backup: BackupSettings::default(),
        party: party.clone(),
        network: network(),
        charter,
        data: data.to_owned(),
        listen: vec![Address::parse("/ip4/127.0.0.1/tcp/0").expect("an address")],
        peers: BTreeMap::new(),
        require_hybrid: true,
        log_format: Format::Text,
        log_level: Level::Warn,
        api_socket: data.join("api.sock"),
    }
}

fn network() -> NetworkName {
    NetworkName::parse("api.test").expect("a name")
}

fn keyring(data: &Path) -> Keyring {
    fs::create_dir(data).expect("made");
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).expect("private");
    let phrase = Zeroizing::new("correct horse battery staple".to_owned());
    let phrase = Passphrase::new(phrase, Purpose::Create).expect("long enough");
    Keyring::create(&data.join("keys"), &phrase, time::now()).expect("made")
}

fn root(role: KeyRole, seed: u8) -> HybridSigner {
    HybridSigner::new(role, &Seed::new([seed; 32]), Algorithm::MlDsa65, &Seed::new([seed + 1; 32])).expect("keys")
}

/// Writes charter and profiles into both folders; gives the charter's fingerprint.
fn found(folder: &Path, codes: &[PartyCode; 2], keyrings: &[Keyring; 2], declared: &[proto::Declaration]) -> Digest {
    let now = time::now();
    let roots = [root(KeyRole::Root, 10), root(KeyRole::Root, 20)];
    let founder = |(code, root): (&PartyCode, &HybridSigner)| {
        let [classic, hybrid] = root.public();
        Founder { code: code.clone(), name: format!("Party {code}"), root: [classic.clone(), hybrid.clone()] }
    };
    let founders: Vec<Founder> = codes.iter().zip(&roots).map(founder).collect();
    let secretariat = root(KeyRole::Charter, 30);
    let [classic, hybrid] = secretariat.public();
    let charter = founding::charter(&network(), true, [classic, hybrid], &founders, &["BC"], now);
    let signed = founding::sign_charter(&charter, &[&secretariat]).expect("signed");
    let profiles: Vec<Vec<u8>> = (0..2)
        .map(|n| {
            let mut draft = founding::profile(
                &network(),
                &codes[n],
                &[office()],
                &["en"],
                &keyrings[n].for_profile(&network(), &codes[n]).expect("keys"),
                now,
            );
            if n == 0 {
                draft.declarations = declared.to_vec();
            }
            founding::sign_profile(&draft, &[&roots[n]]).expect("signed")
        })
        .collect();
    for code in codes {
        let data = folder.join(code.as_str());
        fs::create_dir_all(data.join(PROFILES_FOLDER)).expect("made");
        fs::write(data.join(CHARTER_FILE), &signed).expect("written");
        for (code, profile) in codes.iter().zip(&profiles) {
            fs::write(data.join(PROFILES_FOLDER).join(format!("{code}.dsse")), profile).expect("written");
        }
    }
    document_id(CHARTER_TYPE, &charter.encode_to_vec())
}

/// The credential of an officer, by name.
pub(super) fn credential(name: &str) -> Seed {
    Seed::new(*sha256(&[name.as_bytes()]).as_bytes())
}

/// A roll of three officers of Arvia, changed so, signed with its node's directory key.
fn roll(profile: &Profile, keys: &Keyring, version: u64, change: &dyn Fn(&mut proto::Roll)) -> Vec<u8> {
    let officer = |name: &str| proto::Officer {
        id: name.to_owned(),
        credential: proto::Credential::Ed25519 as i32,
        public_key: PublicKey::of(KeyRole::Officer, Algorithm::Ed25519, &credential(name)).expect("a key").bytes,
        authority: "central".to_owned(),
        procedures: Vec::new(),
        sides: vec![1, 2],
        from_ms: 1,
        until_ms: 0,
    };
    let mut wire = proto::Roll {
        network: profile.network.to_string(),
        party: profile.party.to_string(),
        version,
        issued_ms: time::now().0,
        profile: profile.id().as_bytes().to_vec(),
        officers: ["one", "three", "two"].map(officer).to_vec(),
        deputies: Vec::new(),
        absences: Vec::new(),
    };
    change(&mut wire);
    let payload = wire.encode_to_vec();
    let message = signing_message(&document_id(ROLL_TYPE, &payload));
    let signer = keys.directory_signer(profile, time::now()).expect("a directory key");
    document(ROLL_TYPE, payload, signer.sign_pair(&message).expect("signed"))
}

fn office() -> Office {
    Office {
        id: "central".to_owned(),
        name: "Central Authority".to_owned(),
        time_zone: "UTC".to_owned(),
        procedures: vec!["PRES".to_owned()],
    }
}

/// A text in English.
pub(super) fn text(text: &str) -> Value {
    json!({ "lang": "en", "text": text })
}

/// The smallest request for preservation that its form allows.
pub(super) fn contents() -> Value {
    json!({
        "reference.case": text("1"), "reference.date": "2026-03-01", "reference.kind": "new",
        "reference.instrument": "BC", "reference.article": text("29"),
        "requesting.authority": text("Central Authority of Arvia"), "requesting.role": text("Duty officer"),
        "requesting.address": text("Arvia City"), "requesting.phone": [text("+00 1 555 0100")],
        "requesting.email": [text("central@justice.arvia.test")], "requesting.hours": text("24/7"),
        "requesting.time-zone": "UTC", "requesting.reply-by": ["this-node"],
        "second.authority": text("Contact Point"), "second.role": text("Duty officer"),
        "second.phone": [text("+00 1 555 0124")],
        "requested.authority": text("Central Authority of Belmar"),
        "investigating.authority": text("Prosecution Office of Arvia"), "proceedings.stage": "investigation",
        "offence.codes": ["CC-01"], "offence.provisions": [text("Section 118a")],
        "penalty.life": false, "penalty.most-months": 60,
        "offence.facts": text("Somebody entered a hospital's network."), "urgency.level": "normal",
        "data.description": text("Logs"), "data.categories": ["traffic"],
        "data.relation": text("Commands came from there."), "data.whole-period": true,
        "custodian.name": text("Harbour Hosting Company"), "necessity": text("They will be deleted."),
        "follow-up.intended": true, "follow-up.kinds": ["disclosure"], "path.wanted": false,
        "confidentiality.level": "ordinary", "confidentiality.user-may-be-told": false,
        "language.original": "en", "signatory.role": text("Head"),
        "signatory.legal-authority": text("Act on Cooperation"),
    })
}
