//! A receiver that a test controls byte by byte.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const LOOPBACK: &str = "127.0.0.1:0";

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(super) struct Peer {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
    received: UnboundedSender<Received>,
    pub(super) number: usize,
}

impl Peer {
    /// `None` if the sender has closed the connection.
    pub(super) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            self.more().await?;
        }
    }

    pub(super) async fn request(&mut self) -> Option<()> {
        let head = self.head().await?;
        let request = Received { head, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
        while self.unread.len() < length {
            self.more().await?;
        }
        let body = self.unread.drain(..length).collect();
        self.received.send(Received { body, ..request }).ok()
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Option<()> {
        self.stream.write_all(bytes.as_ref()).await.ok()?;
        self.stream.flush().await.ok()
    }

    pub(super) async fn answer(&mut self, bytes: impl AsRef<[u8]>) -> Option<()> {
        self.request().await?;
        self.send(bytes).await
    }

    pub(super) async fn repeat(&mut self, bytes: impl AsRef<[u8]>) {
        while self.send(&bytes).await.is_some() {}
    }

    pub(super) async fn hold(&mut self) {
        while self.more().await.is_some() {}
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await.ok()?;
        (read > 0).then_some(())
    }
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    received: UnboundedReceiver<Received>,
}

impl Receiver {
    /// Runs `script` on each connection.
    pub(super) async fn start<F: Future<Output = Option<()>> + Send + 'static>(
        script: impl Fn(Peer) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::listen(LOOPBACK, None, script).await
    }

    pub(super) async fn start_tls<F: Future<Output = Option<()>> + Send + 'static>(
        tls: TlsAcceptor,
        script: impl Fn(Peer) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::listen(LOOPBACK, Some(tls), script).await
    }

    pub(super) async fn answering(bytes: impl AsRef<[u8]> + Clone + Send + Sync + 'static) -> Self {
        Self::start(move |mut peer| {
            let bytes = bytes.clone();
            async move {
                while peer.answer(&bytes).await.is_some() {}
                None
            }
        })
        .await
    }

    pub(super) async fn listen<F: Future<Output = Option<()>> + Send + 'static>(
        on: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(Peer) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(on).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (filed, received) = unbounded_channel();
        let count = Arc::clone(&accepted);
        let script = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (tls, filed, script) = (tls.clone(), filed.clone(), Arc::clone(&script));
                tokio::spawn(async move {
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(tcp),
                        Some(tls) => Box::new(tls.accept(tcp).await.ok()?),
                    };
                    script(Peer { stream, unread: Vec::new(), received: filed, number }).await
                });
            }
        });
        Self { address, accepted, received }
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(super) fn received(&mut self) -> Received {
        self.received.try_recv().unwrap()
    }

    pub(super) fn got_no_more(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

pub(super) async fn raw<F: Future<Output = ()> + Send + 'static>(
    script: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(script(tcp));
        }
    });
    address
}
