//! Bytes to a fresh connection, and the answer as bytes: no client mends what a row spoils.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// For how long an answer is waited for where the row does not say; the service's own
/// limits end sooner.
const HOLD: Duration = Duration::from_secs(50);
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a connection is given.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes {
    pub(super) parts: Vec<Vec<u8>>,
    /// Between one part and the next.
    pub(super) pace: Duration,
    /// The answer to HEAD has no body, whatever its length says.
    pub(super) is_head: bool,
    /// For how long the connection is held when there is no answer.
    pub(super) hold: Option<Duration>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) took: Duration,
}

impl Reply {
    /// A header by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// All of it, for finding what must not be there.
    pub(super) fn all(&self) -> String {
        format!("{:?} {}", self.headers, String::from_utf8_lossy(&self.body))
    }

    /// The beginning of the body, for a message.
    pub(super) fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(200).collect()
    }
}

/// Sends bytes and reads the answer; `None` when the connection ends without one.
pub(super) async fn exchange(address: SocketAddr, bytes: &Bytes) -> Option<Reply> {
    let (began, hold) = (Instant::now(), bytes.hold.unwrap_or(HOLD));
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let writing = async {
        let mut clock = (!bytes.pace.is_zero()).then(|| tokio::time::interval(bytes.pace));
        for part in &bytes.parts {
            if let Some(clock) = &mut clock {
                clock.tick().await;
            }
            // Refused early: the answer says why.
            if writer.write_all(part).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        () = writing => None,
        answer = tokio::time::timeout(hold, read(&mut reader, bytes.is_head)) => answer.expect("an answer, or an end"),
    };
    answer.map(|reply| Reply { took: began.elapsed(), ..reply })
}

async fn read(reader: &mut (impl AsyncRead + Unpin), is_head: bool) -> Option<Reply> {
    let mut bytes = Vec::new();
    loop {
        let ended = reader.read_buf(&mut bytes).await.unwrap_or(0) == 0;
        let answer = parse(&bytes, is_head);
        match answer {
            Some((reply, whole)) if whole || ended => return Some(reply),
            None if ended => return None,
            _ => {}
        }
    }
}

/// The answer so far, and whether it is whole.
fn parse(bytes: &[u8], is_head: bool) -> Option<(Reply, bool)> {
    let end = bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END)?;
    let (head, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + HEAD_END.len()..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())?;
    if status < 200 {
        return parse(body, is_head);
    }
    let field = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header field");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let reply = Reply { status, headers: lines.map(field).collect(), body: body.to_vec(), took: Duration::ZERO };
    let length = reply.header("content-length").and_then(|text| text.parse::<usize>().ok());
    let whole = is_head || length.is_some_and(|length| body.len() >= length);
    Some((reply, whole))
}
