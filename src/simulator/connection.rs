//! The sockets, so that faults can be real: a connection can be reset, or its answer can trickle.
//!
//! Enters: TCP connections. Leaves: the same bytes, unless the handler of a request told its [`Line`] to misbehave.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

/// How the connection treats the answer that is about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Behaviour {
    #[default]
    Normal,
    /// Not a byte of the answer: the peer sees "connection reset".
    Reset,
    /// The head at once, the body at this many bytes a second.
    Trickle { bytes_per_second: usize },
}

/// The handle by which a request's handler reaches its own connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Arc<Mutex<Behaviour>>);

impl Line {
    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    fn behaviour(&self) -> Behaviour {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, Exchange>> for Line {
    fn connect_info(stream: IncomingStream<'_, Exchange>) -> Self {
        stream.io().line.clone()
    }
}

/// A listener whose connections have a [`Line`].
pub(super) struct Exchange(pub(super) TcpListener);

impl Listener for Exchange {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (socket, peer) = Listener::accept(&mut self.0).await;
        // Answers are written whole; waiting to fill a packet would only slow them down.
        let _ = socket.set_nodelay(true);
        (Connection { socket, line: Line::default(), head_written: false, pause: None }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One TCP connection.
pub(super) struct Connection {
    socket: TcpStream,
    line: Line,
    /// Whether the head of a trickling answer is out.
    head_written: bool,
    /// The wait before the next piece of a trickling answer.
    pause: Option<Pin<Box<Sleep>>>,
}

/// How often a second a trickling answer goes on.
const PIECES_PER_SECOND: usize = 10;

impl Connection {
    fn trickle(&mut self, cx: &mut Context<'_>, bytes: &[u8], per_second: usize) -> Poll<io::Result<usize>> {
        if !self.head_written {
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            let end = head.map_or(bytes.len(), |start| start + 4);
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &bytes[..end]))?;
            self.head_written = head.is_some() && written == end;
            return Poll::Ready(Ok(written));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        let piece = (per_second / PIECES_PER_SECOND).clamp(1, bytes.len().max(1)).min(bytes.len());
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &bytes[..piece]))?;
        let parts = u32::try_from(per_second.max(1)).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(1) * u32::try_from(written).unwrap_or(u32::MAX) / parts;
        self.pause = Some(Box::pin(sleep(pause)));
        Poll::Ready(Ok(written))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.line.behaviour() {
            Behaviour::Normal => {
                self.head_written = false;
                self.pause = None;
                Pin::new(&mut self.socket).poll_write(cx, bytes)
            }
            Behaviour::Reset => {
                // Closing with nothing to linger for sends RST instead of FIN.
                let _ = self.socket.set_zero_linger();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Behaviour::Trickle { bytes_per_second } => self.trickle(cx, bytes, bytes_per_second),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
