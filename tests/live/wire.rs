//! HTTP/1.1 by hand: as much as our own clients speak. A request can be caught at a named phase of its answer and is
//! held there for as long as the test likes.

use std::{
    fmt::Write as _,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Answer\r\ncontent-length: {}\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The request is here whole, nothing is answered.
    Asked,
    /// Half of the answer is written.
    Half,
    /// The answer is written whole.
    Answered,
}

/// Where to catch a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// A part of the request's target.
    pub(crate) target: &'static str,
    /// How many such requests pass before.
    pub(crate) after: usize,
    pub(crate) phase: Phase,
}

/// A request that is held; dropping this lets it go on.
pub(crate) struct Held(#[expect(dead_code, reason = "its drop is the signal")] oneshot::Sender<()>);

/// Catches requests, one point at a time.
#[derive(Clone, Default)]
pub(crate) struct Traps(Arc<Mutex<Option<Armed>>>);

type Armed = (Point, oneshot::Sender<Held>);

impl Traps {
    /// Sets the trap; what it gives back resolves when a request is caught.
    pub(crate) fn arm(&self, point: Point) -> oneshot::Receiver<Held> {
        let (caught, wait) = oneshot::channel();
        *self.0.lock().unwrap() = Some((point, caught));
        wait
    }

    pub(crate) fn disarm(&self) {
        *self.0.lock().unwrap() = None;
    }

    /// Counts this request, and takes the trap if it is meant.
    fn meet(&self, target: &str) -> Option<(Phase, oneshot::Sender<Held>)> {
        let mut armed = self.0.lock().unwrap();
        let (point, _) = armed.as_mut().filter(|(point, _)| target.contains(point.target))?;
        if point.after > 0 {
            point.after -= 1;
            return None;
        }
        armed.take().map(|(point, caught)| (point.phase, caught))
    }
}

/// Serves on a free port of loopback for as long as the runtime lives.
pub(crate) async fn serve<F, A>(traps: Traps, handle: F) -> SocketAddr
where
    F: Fn(Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (traps, handle) = (traps.clone(), handle.clone());
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                // Ends with the peer: a killed one leaves broken connections behind, and that is the point.
                while let Some(request) = read(&mut stream).await {
                    if exchange(&mut stream, &traps, &handle, request).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

async fn exchange<F, A>(
    stream: &mut BufReader<TcpStream>,
    traps: &Traps,
    handle: &F,
    request: Request,
) -> std::io::Result<()>
where
    F: Fn(Request) -> A + Sync,
    A: Future<Output = Answer> + Send,
{
    let (phase, mut caught) = traps.meet(&request.target).unzip();
    let mut stop_at = async |here: Phase| {
        if phase == Some(here)
            && let Some(caught) = caught.take()
        {
            let (held, released) = oneshot::channel();
            if caught.send(Held(held)).is_ok() {
                let _ = released.await;
            }
        }
    };
    stop_at(Phase::Asked).await;
    let bytes = handle(request).await.bytes();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    stream.write_all(first).await?;
    stop_at(Phase::Half).await;
    stream.write_all(second).await?;
    stop_at(Phase::Answered).await;
    Ok(())
}

/// The next request; `None` when the peer is gone.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let first = line(stream).await?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let line = line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await {
        Ok(length) if length > 0 => Some(line.trim_end().to_owned()),
        _ => None,
    }
}
