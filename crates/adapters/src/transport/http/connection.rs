//! One connection is one task: it owns the connection's future, takes a call, drives both in one poll, delivers the
//! reply, and takes the next call or lies idle. No call needs a task, a channel or a waker of its own.
use super::HttpOptions;
use super::connect::{Stream, connect};
use super::origin::{Counted, Job, Origin, Seat};
use super::pool::Pool;
use super::reply::{Answer, classify, status_decides};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};
use unanim_engine::{Failure, Reply};

/// What one message head may take, in bytes; what a body may take is an option.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// From a call that needs a connection to that connection's end.
pub(super) async fn run(pool: Rc<Pool>, counted: Counted, first: Job) {
    let origin = &counted.0;
    let mut next = Some(first);
    while let Some(job) = next.take() {
        next = match connect(&pool, origin, job.deadline).await {
            Ok(Stream::Plain(stream)) => serve(&pool, origin, stream, job).await,
            Ok(Stream::Tls(stream)) => serve(&pool, origin, stream, job).await,
            Err(failure) => {
                pool.answer(job, Reply::unknown(failure));
                origin.next_waiting()
            }
        };
    }
}

/// Makes one call after the other, until the connection ends; gives back a call that wants a new one.
async fn serve<S>(pool: &Rc<Pool>, origin: &Rc<Origin>, stream: S, first: Job) -> Option<Job>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut job = first;
    let Ok(mut line) = Line::open(stream, job.deadline).await else {
        pool.answer(job, Reply::unknown(Failure::Connect));
        return origin.next_waiting();
    };
    let seat = Rc::new(Seat::default());
    let mut reused = false;
    loop {
        let reply = match line.exchange(pool, &job).await {
            Exchanged::Reply(reply) => reply,
            // The peer closed the idle connection before a byte was sent: no answer, and no attempt either.
            Exchanged::Unsent if reused => return Some(job),
            Exchanged::Unsent => Reply::unknown(Failure::Reset),
        };
        if !line.open {
            drop(line);
            pool.answer(job, reply);
            return origin.next_waiting();
        }
        reused = true;
        if let Some(next) = origin.next_waiting() {
            pool.answer(std::mem::replace(&mut job, next), reply);
            continue;
        }
        // Idle first: the reply may make the next call at once.
        let parked = pool.park(origin, &seat);
        pool.answer(job, reply);
        if !parked {
            return None;
        }
        job = line.idle(pool, origin, &seat).await?;
    }
}

enum Exchanged {
    Reply(Reply),
    /// Certainly nothing of it was sent.
    Unsent,
}

/// Why an answer could not be read to its end.
enum Broken {
    Unsent,
    Failed(Failure),
}

struct Line<S: AsyncRead + AsyncWrite + Unpin> {
    conn: Connection<TokioIo<S>, Full<Bytes>>,
    sender: SendRequest<Full<Bytes>>,
    open: bool,
    timer: Timer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    async fn open(stream: S, deadline: Instant) -> hyper::Result<Line<S>> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).writev(false);
        let (sender, conn) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Line { conn, sender, open: true, timer: Timer::new(deadline) })
    }

    /// Lets the connection do what it can.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.open && Pin::new(&mut self.conn).poll(cx).is_ready() {
            self.open = false;
        }
    }

    /// One call and its answer. Closes the line where it cannot be used again.
    async fn exchange(&mut self, pool: &Pool, job: &Job) -> Exchanged {
        let Some(request) = pool.renderer.request(&job.call, &job.spot) else {
            return Exchanged::Reply(Reply::unknown(Failure::Connect));
        };
        let (spec, op) = (&*job.call.spec, job.call.id.op);
        let response = match self.send(request, job.deadline).await {
            Ok(response) => response,
            Err(broken) => {
                self.open = false;
                return match broken {
                    Broken::Unsent => Exchanged::Unsent,
                    Broken::Failed(failure) => Exchanged::Reply(Reply::unknown(failure)),
                };
            }
        };
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let body = match self.read(body, &pool.options, job.deadline).await {
            Ok(body) => body,
            Err(failure) => {
                self.open = false;
                if !status_decides(spec.callee.dialect, op, status) {
                    return Exchanged::Reply(Reply::unknown(failure));
                }
                Bytes::new()
            }
        };
        let answer = Answer { status, headers: &head.headers, body: &body };
        Exchanged::Reply(classify(spec.callee.dialect, op, answer, &spec.callee.refused_statuses, SystemTime::now))
    }

    /// Sends a request and waits for the head of its answer.
    async fn send(&mut self, request: Request<Full<Bytes>>, deadline: Instant) -> Result<Response<Incoming>, Broken> {
        // What the peer did meanwhile is seen before, not after, something is sent.
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(())
        })
        .await;
        if !self.open {
            return Err(Broken::Unsent);
        }
        let mut response = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            match response.as_mut().poll(&mut quiet()) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => Poll::Ready(Err(match error.take_message() {
                    Some(_) => Broken::Unsent,
                    None => Broken::Failed(failure(&error.into_error())),
                })),
                Poll::Pending => self.timer.poll(cx, deadline).map(|()| Err(Broken::Failed(Failure::Timeout))),
            }
        })
        .await
    }

    /// Reads a body to its end, and sees the connection ready for the next call, or closed.
    async fn read(&mut self, mut body: Incoming, options: &HttpOptions, deadline: Instant) -> Result<Bytes, Failure> {
        let bytes_max = options.reply_bytes_max;
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(Failure::TooLarge);
        }
        let mut read = Collected::default();
        let whole = poll_fn(|cx| {
            let mut driven = false;
            while !body.is_end_stream() {
                match Pin::new(&mut body).poll_frame(&mut quiet()) {
                    Poll::Ready(Some(Ok(frame))) => {
                        driven = false;
                        if let Ok(data) = frame.into_data() {
                            read.push(data);
                        }
                        if read.len() > bytes_max {
                            return Poll::Ready(Err(Failure::TooLarge));
                        }
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(failure(&error))),
                    Poll::Ready(None) => break,
                    Poll::Pending if !driven => {
                        self.drive(cx);
                        driven = true;
                    }
                    Poll::Pending => return self.timer.poll(cx, deadline).map(|()| Err(Failure::Timeout)),
                }
            }
            if !self.sender.is_ready() {
                self.drive(cx);
            }
            Poll::Ready(Ok(()))
        })
        .await;
        // An answer that came before all of the question was read, for one: what follows is anyone's guess.
        self.open &= self.sender.is_ready();
        whole.map(|()| read.whole())
    }

    /// Lies idle until there is a call, or the end.
    async fn idle(&mut self, pool: &Pool, origin: &Origin, seat: &Rc<Seat>) -> Option<Job> {
        let until = Instant::now() + pool.options.idle_timeout;
        poll_fn(|cx| {
            if let Some(job) = seat.take() {
                return Poll::Ready(Some(job));
            }
            seat.register(cx.waker());
            self.drive(cx);
            if self.open && !pool.closed() {
                ready!(self.timer.poll(cx, until));
            }
            pool.unpark(origin, seat);
            Poll::Ready(None)
        })
        .await
    }
}

/// A context whose waker does nothing: what is polled with it is polled again whenever the connection has been driven,
/// and only the connection makes it ready. The one exception is tokio's budget: it must be seen to (see [`Timer`]).
fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What is known when a message broke.
fn failure(error: &hyper::Error) -> Failure {
    match error {
        _ if error.is_parse_too_large() => Failure::TooLarge,
        _ if error.is_parse() => Failure::Content,
        _ => Failure::Reset,
    }
}

/// One timer per connection. It is only ever set earlier; one that rings too early is set again. So a connection that is
/// busy costs one timer operation in the time of a call's timeout, not one a call.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    set_to: Instant,
}

impl Timer {
    fn new(at: Instant) -> Timer {
        Timer { sleep: Box::pin(sleep_until(at)), set_to: at }
    }

    /// Ready once the instant has come.
    fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        if !has_budget_remaining() {
            // Whatever was polled quietly may be ready and have said so to nobody.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if at < self.set_to {
            self.set(at);
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            self.set(at);
        }
    }

    fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.set_to = at;
    }
}

/// A body: almost always one piece, which is not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: BytesMut,
}

impl Collected {
    fn push(&mut self, data: Bytes) {
        match (self.first.is_empty(), self.all.is_empty()) {
            (true, true) => self.first = data,
            (false, true) => {
                self.all.extend_from_slice(&self.first);
                self.all.extend_from_slice(&data);
            }
            (_, false) => self.all.extend_from_slice(&data),
        }
    }

    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn whole(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
