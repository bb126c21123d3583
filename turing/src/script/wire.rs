//! What a call and its supervisor say to each other over their socket.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;

use super::ScriptCall;

/// Asks a supervisor to send SIGTERM to all that the script started.
pub(super) const TERMINATE: u8 = b'T';

/// Asks a supervisor to kill all that the script started. The end of what it is told asks for that,
/// too, and to end itself then.
pub(super) const KILL: u8 = b'K';

/// Asks a supervisor to start a script: the script's standard streams come with the word, and the
/// length of the request and the request after it.
const START: u8 = b'S';

/// The length of a request, in bytes.
type Length = [u8; 8];

/// A script's standard input, output and error.
pub(super) type Streams = [OwnedFd; 3];

/// What a supervisor is to start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) folder: PathBuf,
    pub(super) environment: Vec<(OsString, OsString)>,
    /// The soft limit of descriptors that the script is to have, if it is not the supervisor's.
    pub(super) descriptors: Option<u64>,
}

impl Request {
    pub(super) fn new(call: &ScriptCall, program: &Path, descriptors: Option<u64>) -> Self {
        let environment = call.environment.iter().map(|(key, value)| (key.into(), value.into()));
        Self {
            program: program.to_owned(),
            arguments: call.arguments.clone(),
            folder: call.folder.clone(),
            environment: environment.collect(),
            descriptors,
        }
    }

    /// Texts that a U+0000 ends each.
    ///
    /// # Errors
    ///
    /// When a text has one in it, which no command line and no environment can hold.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let (descriptors, count) =
            (self.descriptors.map(|limit| limit.to_string()), self.arguments.len());
        let mut texts = vec![
            self.program.as_os_str().to_owned(),
            self.folder.as_os_str().to_owned(),
            descriptors.unwrap_or_default().into(),
            count.to_string().into(),
        ];
        texts.extend(self.arguments.iter().cloned());
        texts.extend(self.environment.iter().cloned().flat_map(|(key, value)| [key, value]));
        let mut bytes = Vec::new();
        for text in texts {
            if text.as_bytes().contains(&0) {
                let what = "a text for the script has a U+0000 in it";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
        Ok(bytes)
    }

    /// Answers `None` for what [`Request::encode`] does not make.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut texts = bytes.strip_suffix(&[0])?.split(|&byte| byte == 0);
        let mut next = || texts.next().map(|text| OsString::from_vec(text.to_vec()));
        let number = |text: OsString| text.into_string().ok()?.parse::<u64>().ok();
        let (program, folder) = (next()?.into(), next()?.into());
        let descriptors = match next()? {
            text if text.is_empty() => None,
            text => Some(number(text)?),
        };
        let count = number(next()?)?;
        let arguments = (0..count).map(|_| next()).collect::<Option<_>>()?;
        let mut environment = Vec::new();
        while let Some(key) = next() {
            environment.push((key, next()?));
        }
        Some(Self { program, arguments, folder, environment, descriptors })
    }

    /// Announces the request of that many bytes that follows, and hands over the script's standard
    /// streams.
    pub(super) fn announce(
        socket: &BlockingStream,
        request: &[u8],
        streams: [BorrowedFd<'_>; 3],
    ) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(
            control.push(SendAncillaryMessage::ScmRights(&streams)),
            "there is space for three"
        );
        let length: Length = (request.len() as u64).to_le_bytes();
        // a socket that holds nothing takes these few bytes at once
        let words = [IoSlice::new(&[START]), IoSlice::new(&length)];
        sendmsg(socket, &words, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Reads the request that was announced.
    pub(super) async fn read(control: &mut UnixStream) -> io::Result<Self> {
        let mut length = Length::default();
        control.read_exact(&mut length).await?;
        let (length, mut request) = (u64::from_le_bytes(length), Vec::new());
        let read = control.take(length).read_to_end(&mut request).await?;
        // half a request is one, too
        Self::decode(&request)
            .filter(|_| read as u64 == length)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "half a request came"))
    }
}

/// What a supervisor is told.
#[derive(Debug)]
pub(super) enum Word {
    /// A request follows, for a script with these standard streams.
    Start(Streams),
    Terminate,
    Kill,
    /// There will be no more, or nothing that can be understood.
    End,
}

impl Word {
    /// Waits for the next word. Nothing is lost if that is given up.
    pub(super) async fn hear(control: &UnixStream) -> io::Result<Self> {
        control.async_io(Interest::READABLE, || Self::receive(control.as_fd())).await
    }

    fn receive(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut word = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(socket, &mut [IoSliceMut::new(&mut word)], &mut control, flags)?;
        let mut streams = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                streams.extend(descriptors);
            }
        }
        Ok(match (received.bytes, word) {
            (1.., [START]) => Streams::try_from(streams).map_or(Self::End, Self::Start),
            (1.., [TERMINATE]) => Self::Terminate,
            (1.., [KILL]) => Self::Kill,
            _ => Self::End,
        })
    }
}

/// What a supervisor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The script is about to be started.
    Started,
    /// It could not be, for this system error; 0 if it has no number. The supervisor ends.
    Refused(i32),
    /// The script has ended, with this wait status, and nothing of it is left. The supervisor waits
    /// for the next.
    Ended(i32),
    /// The script has ended, with this wait status, and something is left that may not be killed. The
    /// supervisor ends.
    Left(i32),
}

impl Answer {
    const BYTES: usize = 5;

    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let (kind, number) = match self {
            Self::Started => (b'S', 0),
            Self::Refused(number) => (b'R', number),
            Self::Ended(number) => (b'E', number),
            Self::Left(number) => (b'L', number),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [kind, a, b, c, d]
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, number) = bytes.split_first()?;
        let number = i32::from_le_bytes(number.try_into().ok()?);
        match kind {
            b'S' => Some(Self::Started),
            b'R' => Some(Self::Refused(number)),
            b'E' => Some(Self::Ended(number)),
            b'L' => Some(Self::Left(number)),
            _ => None,
        }
    }

    /// The last of the answers that a supervisor has told so far.
    pub(super) fn last(told: &[u8]) -> Option<Self> {
        told.chunks(Self::BYTES).map_while(Self::decode).last()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = OsString> {
        proptest::collection::vec(1_u8..=255, 0..6).prop_map(OsString::from_vec)
    }

    proptest! {
        #[test]
        fn a_request_comes_as_it_was_sent(
            program in text(),
            folder in text(),
            arguments in proptest::collection::vec(text(), 0..4),
            environment in proptest::collection::vec((text(), text()), 0..4),
            descriptors in proptest::option::of(any::<u64>()),
        ) {
            let (program, folder) = (program.into(), folder.into());
            let sent = Request { program, arguments, folder, environment, descriptors };
            let bytes = sent.encode().unwrap();
            prop_assert_eq!(Request::decode(&bytes), Some(sent));
        }
    }

    fn request() -> Request {
        Request {
            program: OsString::from_vec(b"/bin/\xff".to_vec()).into(),
            arguments: vec!["-c".into(), "exit 3".into()],
            folder: "/".into(),
            environment: vec![("A".into(), "b".into()), ("C".into(), "d".into())],
            descriptors: Some(1024),
        }
    }

    fn sockets() -> (BlockingStream, UnixStream) {
        let (ours, theirs) = BlockingStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, UnixStream::from_std(theirs).unwrap())
    }

    /// Three pipes: the ends to write to, and those that are handed over.
    fn pipes() -> ([io::PipeWriter; 3], Streams) {
        let [a, b, c] = [(); 3].map(|()| io::pipe().unwrap());
        ([a.1, b.1, c.1], [a.0.into(), b.0.into(), c.0.into()])
    }

    fn announce(socket: &BlockingStream, bytes: &[u8], streams: &Streams) {
        Request::announce(socket, bytes, streams.each_ref().map(AsFd::as_fd)).unwrap();
    }

    #[tokio::test]
    async fn words_requests_and_streams_pass_a_socket_in_their_order() {
        let (mut ours, mut theirs) = sockets();
        let bytes = request().encode().unwrap();
        for round in 0..3 {
            // words that come too late for a script lie before the next request
            ours.write_all(&[TERMINATE, KILL]).unwrap();
            let (mut writers, streams) = pipes();
            announce(&ours, &bytes, &streams);
            drop(streams);
            ours.write_all(&bytes).unwrap();
            ours.write_all(&[KILL]).unwrap();
            assert!(matches!(Word::hear(&theirs).await.unwrap(), Word::Terminate));
            assert!(matches!(Word::hear(&theirs).await.unwrap(), Word::Kill));
            let Word::Start(streams) = Word::hear(&theirs).await.unwrap() else {
                panic!("no request came in round {round}");
            };
            assert_eq!(Request::read(&mut theirs).await.unwrap(), request());
            assert!(matches!(Word::hear(&theirs).await.unwrap(), Word::Kill));
            for (number, writer) in writers.iter_mut().enumerate() {
                write!(writer, "to read {number}").unwrap();
            }
            drop(writers);
            for (number, stream) in streams.into_iter().enumerate() {
                let read = io::read_to_string(std::fs::File::from(stream)).unwrap();
                assert_eq!(read, format!("to read {number}"));
            }
        }
        drop(ours);
        assert!(matches!(Word::hear(&theirs).await.unwrap(), Word::End));
    }

    #[tokio::test]
    async fn half_a_request_is_none() {
        let bytes = request().encode().unwrap();
        for cut in 0..bytes.len() {
            let (mut ours, mut theirs) = sockets();
            announce(&ours, &bytes, &pipes().1);
            ours.write_all(&bytes[..cut]).unwrap();
            drop(ours);
            assert!(matches!(Word::hear(&theirs).await.unwrap(), Word::Start(_)));
            let read = Request::read(&mut theirs).await;
            assert!(read.is_err(), "{cut} of {} bytes", bytes.len());
        }
    }

    #[tokio::test]
    async fn what_is_no_word_is_the_end() {
        for word in [START, b'?'] {
            let (mut ours, theirs) = sockets();
            ours.write_all(&[word]).unwrap();
            assert!(matches!(Word::hear(&theirs).await.unwrap(), Word::End), "{word}");
        }
    }

    #[test]
    fn the_last_answer_counts() {
        let told = |answers: &[Answer]| {
            let bytes: Vec<_> = answers.iter().flat_map(|answer| answer.encode()).collect();
            Answer::last(&bytes)
        };
        assert_eq!(told(&[]), None);
        for last in [Answer::Ended(3 << 8), Answer::Left(9), Answer::Refused(13)] {
            assert_eq!(told(&[Answer::Started, last]), Some(last));
            let bytes = [Answer::Started.encode(), last.encode()].concat();
            let half = &bytes[..bytes.len() - 1];
            assert_eq!(Answer::last(half), Some(Answer::Started), "half of {last:?}");
        }
        // a program that is no supervisor
        assert_eq!(Answer::last(b"usage: cat"), None);
    }
}
