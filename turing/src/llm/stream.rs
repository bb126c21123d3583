//! Reading an answer that comes bit by bit, held to how long each bit may take.

use std::pin::{Pin, pin};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};
use turing_domain::LlmProtocol;

use super::LlmLimits;
use super::client;
use super::failure::{CallError, Limit};
use super::pieces::{Form, Piece, Pieces};
use super::whole::{Taken, Whole};

/// How long an answer is read that is here when its time is over. Nobody has looked for it if this
/// process was stopped meanwhile, and then the end of the time may be noticed first.
const UNTIL_READ: Duration = Duration::from_millis(250);

/// What may follow the end of an answer and is read, so that its connection can be kept.
const REST: usize = 1024;

/// How many bytes around a text its pieces may take, as a multiple of what a whole response may have.
const PIECES: usize = 16;

/// When a call began, and until when its next sign is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    began: Instant,
    end: Option<Instant>,
    limit: Limit,
}

impl Waiting {
    /// A call that begins now, and whose first token is waited for if it comes by itself.
    pub(super) fn begin(limits: &LlmLimits, streams: bool) -> Self {
        let began = Instant::now();
        let limit = limits.first_token.filter(|_| streams);
        let end = limit.and_then(|limit| began.checked_add(limit));
        Self { began, end, limit: Limit::FirstToken(limit.unwrap_or_default()) }
    }

    /// Something was written now, and more is waited for.
    fn go_on(&mut self, limits: &LlmLimits) {
        self.end = Instant::now().checked_add(limits.between_tokens);
        self.limit = Limit::BetweenTokens(limits.between_tokens);
    }

    /// What comes in time.
    pub(super) async fn within<F: Future>(
        &self,
        future: Pin<&mut F>,
    ) -> Result<F::Output, CallError> {
        let Some(end) = self.end else { return Ok(future.await) };
        in_time(end, future).await.ok_or(CallError::TimedOut(self.limit))
    }

    /// Fails if what came did not make up for the time.
    fn check(&self) -> Result<(), CallError> {
        let is_over = self.end.is_some_and(|end| Instant::now() > end + UNTIL_READ);
        if is_over { Err(CallError::TimedOut(self.limit)) } else { Ok(()) }
    }
}

/// What comes until then. What is here then is read, although this process may have been stopped and the
/// end of the time is noticed first.
pub(super) async fn in_time<F: Future>(end: Instant, mut future: Pin<&mut F>) -> Option<F::Output> {
    if let Ok(output) = timeout_at(end, future.as_mut()).await {
        return Some(output);
    }
    // a task of the connection's own reads it
    timeout(UNTIL_READ, future).await.ok()
}

/// An answer that is being read.
pub(super) struct Reading<'a> {
    protocol: LlmProtocol,
    limits: &'a LlmLimits,
    waiting: Waiting,
    pieces: Pieces,
    whole: Whole,
    /// When the model wrote its first piece, from the beginning of the call.
    first_token: &'a mut Option<u64>,
}

/// What has come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Come {
    /// Nothing that ends the answer.
    More,
    /// The mark at the end of all answers.
    Done,
    /// What ends this one.
    Last,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        protocol: LlmProtocol,
        form: Form,
        limits: &'a LlmLimits,
        waiting: Waiting,
        first_token: &'a mut Option<u64>,
    ) -> Self {
        let limit = client::body_limit(limits.output_bytes);
        Self {
            protocol,
            limits,
            waiting,
            pieces: Pieces::new(form, limit),
            whole: Whole::new(protocol, limit),
            first_token,
        }
    }

    /// Reads to the end, and gives the document that the pieces come to.
    pub(super) async fn read(mut self, mut body: Incoming) -> Result<Vec<u8>, CallError> {
        let most = client::body_limit(self.limits.output_bytes).saturating_mul(PIECES);
        let end = loop {
            let next = {
                let frame = pin!(body.frame());
                self.waiting.within(frame).await
            };
            let frame = match next {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    let last = self.pieces.end()?;
                    break match last.map(|piece| self.take(piece)) {
                        // what is cut off within is no JSON
                        Some(Ok(come)) => come,
                        Some(Err(_)) | None => Come::More,
                    };
                }
                // what stands behind the end of an answer is good to have, and no more
                Ok(Some(Err(_))) | Err(_) if self.whole.is_whole() => break Come::More,
                Ok(Some(Err(error))) => return Err(CallError::reading(error)),
                Err(late) => return Err(late),
            };
            let pushed = self.pieces.push(frame.data_ref().map_or(&[][..], |data| data));
            // what stands behind the end is nobody's, also if it comes together with it
            let come = self.take_all()?;
            if come != Come::More {
                // a connection whose body was read to its end is kept
                let _ = timeout(UNTIL_READ, client::read_up_to(body, REST)).await;
                break come;
            }
            pushed?;
            if self.pieces.come() > most {
                return Err(CallError::BodyLimit(most));
            }
            match self.waiting.check() {
                Err(_) if self.whole.is_whole() => break Come::More,
                checked => checked?,
            }
        };
        match (self.whole.is_whole(), end) {
            (true, _) => Ok(self.whole.into_document()),
            (false, Come::Done) => Err(CallError::BrokenOff(self.without("`[DONE]` came"))),
            (false, Come::Last) => Err(CallError::BrokenOff(self.without("an error came"))),
            (false, Come::More) => Err(CallError::Lost(self.without("its stream ended"))),
        }
    }

    /// What came too early.
    fn without(&self, what: &str) -> String {
        let end = match self.protocol {
            LlmProtocol::OpenaiChat => "a `finish_reason`",
            LlmProtocol::OllamaGenerate | LlmProtocol::OllamaChat => "`done` was true",
        };
        format!("{what} before {end}")
    }

    /// Takes the pieces that are whole.
    fn take_all(&mut self) -> Result<Come, CallError> {
        while let Some(piece) = self.pieces.pop() {
            match self.take(piece)? {
                Come::More => {}
                end => return Ok(end),
            }
        }
        Ok(Come::More)
    }

    fn take(&mut self, piece: Piece) -> Result<Come, CallError> {
        let was_whole = self.whole.is_whole();
        let Taken { has_text, is_last } = match piece {
            Piece::Done => return Ok(Come::Done),
            Piece::Error(text) => {
                self.whole.take_error(&text);
                return Ok(Come::Last);
            }
            Piece::Document(text) => self.whole.take(&text)?,
        };
        if has_text && self.first_token.is_none() {
            *self.first_token = Some(milliseconds(self.waiting.began.elapsed()));
        }
        // from its first token to its end, whatever it sends tells that it works
        if has_text || self.first_token.is_some() && !was_whole {
            self.waiting.go_on(self.limits);
        }
        Ok(if is_last { Come::Last } else { Come::More })
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
