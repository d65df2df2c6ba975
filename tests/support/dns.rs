//! A server of DNS whose records a test decides.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{net::UdpSocket, task::JoinSet};
use tunnel_transport::Dns;

/// The type A (RFC 1035, section 3.2.2).
const A: u16 = 1;

/// The type SRV (RFC 2782).
const SRV: u16 = 33;

const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

/// One server of a service: priority, weight, port, and its name.
pub type Record<'a> = (u16, u16, u16, &'a str);

/// The data of records, and how long they are right, in seconds.
type Records = (Vec<Vec<u8>>, u32);

/// A server of DNS on a UDP socket. Dropping it closes the socket.
#[derive(Debug)]
pub struct DnsServer {
    /// Where it listens.
    pub addr: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _tasks: JoinSet<()>,
}

/// What it knows.
#[derive(Debug, Default)]
struct Zone {
    /// By name and type.
    records: BTreeMap<(String, u16), Records>,
    fails: bool,
    /// How often SRV records were asked for.
    asked: usize,
}

impl DnsServer {
    /// A server that knows nothing.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port is free");
        let addr = socket.local_addr().expect("bound");
        let zone = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(socket, Arc::clone(&zone)));
        Self {
            addr,
            zone,
            _tasks: tasks,
        }
    }

    /// Who asks this server.
    #[must_use]
    pub fn dns(&self) -> Dns {
        Dns::servers([self.addr])
    }

    /// The servers of a service, for so many seconds.
    ///
    /// # Panics
    ///
    /// When another test has panicked in here.
    pub fn service(&self, name: &str, ttl: u32, records: &[Record<'_>]) {
        let data = records.iter().map(|(priority, weight, port, target)| {
            let mut data = Vec::new();
            for number in [priority, weight, port] {
                data.extend(number.to_be_bytes());
            }
            data.extend(encode(target));
            data
        });
        let data = data.collect();
        let key = (name.to_owned(), SRV);
        self.zone
            .lock()
            .expect("no panic")
            .records
            .insert(key, (data, ttl));
    }

    /// The addresses of a host, for a minute.
    ///
    /// # Panics
    ///
    /// When another test has panicked in here.
    pub fn host(&self, name: &str, addresses: &[Ipv4Addr]) {
        let data = addresses
            .iter()
            .map(|address| address.octets().to_vec())
            .collect();
        let key = (name.to_owned(), A);
        self.zone
            .lock()
            .expect("no panic")
            .records
            .insert(key, (data, 60));
    }

    /// Whether it says of everything that it cannot answer.
    ///
    /// # Panics
    ///
    /// When another test has panicked in here.
    pub fn fails(&self, fails: bool) {
        self.zone.lock().expect("no panic").fails = fails;
    }

    /// How often SRV records were asked for.
    ///
    /// # Panics
    ///
    /// When another test has panicked in here.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.zone.lock().expect("no panic").asked
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 1024];
    while let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
        let answer = zone.lock().expect("no panic").answer(&buffer[..len]);
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

impl Zone {
    /// The answer to a message with one question (RFC 1035, section 4.1).
    fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = decode(message.get(12..)?)?;
        let question = &message[12..message.len() - rest.len() + 4];
        let kind = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
        self.asked += usize::from(kind == SRV);
        let is_known = self.records.keys().any(|(known, _)| *known == name);
        let found = self.records.get(&(name, kind)).filter(|_| !self.fails);
        let (data, ttl) = found.map_or((&[][..], 0), |(data, ttl)| (data, *ttl));
        let code = match (self.fails, is_known) {
            (true, _) => SERVER_FAILURE,
            (false, true) => NO_ERROR,
            (false, false) => NAME_ERROR,
        };
        let count = u16::try_from(data.len()).expect("few records");
        // The id; an answer of an authority, to whoever wants recursion or not; one question and so many answers.
        let mut answer = message[..2].to_vec();
        answer.extend([0x84 | (message[2] & 1), 0x80 | code, 0, 1]);
        answer.extend(count.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(question);
        for data in data {
            // The name of the question, its type and class.
            answer.extend([0xc0, 12]);
            answer.extend(&question[question.len() - 4..]);
            answer.extend(ttl.to_be_bytes());
            answer.extend(u16::try_from(data.len()).expect("short data").to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

fn encode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A name without pointers, in small letters, and what follows it.
fn decode(mut bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut labels = Vec::new();
    loop {
        let (&len, rest) = bytes.split_first()?;
        if len == 0 {
            return Some((labels.join("."), rest));
        }
        let label = rest.get(..usize::from(len))?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        bytes = &rest[usize::from(len)..];
    }
}
