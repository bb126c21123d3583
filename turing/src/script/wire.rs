//! What a call and its supervisor say to each other over their socket.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::ScriptCall;

/// The word by which a supervisor is asked to send SIGTERM to all that the script started. The end
/// of what it is told asks it to kill all of that.
pub(super) const TERMINATE: u8 = b'T';

/// The length of a request, in bytes.
type Length = [u8; 8];

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

    /// Tells how long the request is that follows, and hands over the script's standard input.
    pub(super) fn announce(
        socket: &UnixStream,
        request: &[u8],
        input: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let input = [input];
        assert!(control.push(SendAncillaryMessage::ScmRights(&input)), "there is space for one");
        let length: Length = (request.len() as u64).to_le_bytes();
        // an empty socket takes these few bytes at once
        sendmsg(socket, &[IoSlice::new(&length)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for a request, and the script's standard input.
    pub(super) fn receive(socket: &mut UnixStream) -> io::Result<(Self, OwnedFd)> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut length = Length::default();
        let received = recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut length)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let input = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let input = input.ok_or_else(|| broken("no standard input was handed over"))?;
        if received.bytes < length.len() {
            socket.read_exact(&mut length[received.bytes..])?;
        }
        let (length, mut request) = (u64::from_le_bytes(length), Vec::new());
        let read = socket.take(length).read_to_end(&mut request)?;
        // half a request is one, too
        let request = Self::decode(&request).filter(|_| read as u64 == length);
        Ok((request.ok_or_else(|| broken("half a request came"))?, input))
    }
}

/// What a supervisor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The script is about to be started.
    Started,
    /// It could not be, for this system error; 0 if it has no number.
    Refused(i32),
    /// The script has ended, with this wait status, and nothing of it is left.
    Ended(i32),
}

impl Answer {
    pub(super) const BYTES: usize = 5;

    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let (kind, number) = match self {
            Self::Started => (b'S', 0),
            Self::Refused(number) => (b'R', number),
            Self::Ended(number) => (b'E', number),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [kind, a, b, c, d]
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, number) = bytes.split_first()?;
        let number = i32::from_le_bytes(number.try_into().ok()?);
        match kind {
            b'S' => Some(Self::Started),
            b'R' => Some(Self::Refused(number)),
            b'E' => Some(Self::Ended(number)),
            _ => None,
        }
    }
}

/// How a call ended, as its supervisor's answers tell.
#[derive(Debug)]
pub(super) enum Ending {
    /// The script ended so.
    Ended(ExitStatus),
    /// The system refused to start it.
    Refused(io::Error),
    /// The supervisor was lost; whether it may have started the script.
    Lost { is_started: bool },
}

impl Ending {
    /// Reads all that a supervisor told until it ended.
    pub(super) fn read(answers: &[u8]) -> Self {
        let mut ending = Self::Lost { is_started: false };
        for answer in answers.chunks(Answer::BYTES).map_while(Answer::decode) {
            ending = match answer {
                Answer::Started => Self::Lost { is_started: true },
                Answer::Refused(0) => {
                    Self::Refused(io::Error::other("for no reason that is known"))
                }
                Answer::Refused(number) => Self::Refused(io::Error::from_raw_os_error(number)),
                Answer::Ended(status) => Self::Ended(ExitStatus::from_raw(status)),
            };
        }
        ending
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_request_and_a_descriptor_pass_a_socket() {
        use std::io::Write;

        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let sent = Request {
            program: OsString::from_vec(b"/bin/\xff".to_vec()).into(),
            arguments: vec![String::from("x").into()],
            folder: "/".into(),
            environment: Vec::new(),
            descriptors: None,
        };
        let bytes = sent.encode().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        Request::announce(&ours, &bytes, reader.as_fd()).unwrap();
        drop(reader);
        ours.write_all(&bytes).unwrap();
        let (received, input) = Request::receive(&mut theirs).unwrap();
        assert_eq!(received, sent);
        writer.write_all(b"to read").unwrap();
        drop(writer);
        let mut read = String::new();
        std::fs::File::from(input).read_to_string(&mut read).unwrap();
        assert_eq!(read, "to read");
    }

    #[test]
    fn half_a_request_is_none() {
        use std::io::Write;

        let sent = Request {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "exit 3".into()],
            folder: "/".into(),
            environment: vec![("A".into(), "b".into()), ("C".into(), "d".into())],
            descriptors: Some(1024),
        };
        let bytes = sent.encode().unwrap();
        for cut in 0..bytes.len() {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            let (reader, _writer) = io::pipe().unwrap();
            Request::announce(&ours, &bytes, reader.as_fd()).unwrap();
            ours.write_all(&bytes[..cut]).unwrap();
            drop(ours);
            assert!(Request::receive(&mut theirs).is_err(), "{cut} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn what_a_supervisor_told_says_how_it_ended() {
        let told = |answers: &[Answer]| {
            let bytes: Vec<_> = answers.iter().flat_map(|answer| answer.encode()).collect();
            format!("{:?}", Ending::read(&bytes))
        };
        let lost = |is_started| format!("{:?}", Ending::Lost { is_started });
        assert_eq!(told(&[]), lost(false));
        assert_eq!(told(&[Answer::Started]), lost(true));
        let ended = Ending::Ended(ExitStatus::from_raw(3 << 8));
        assert_eq!(told(&[Answer::Started, Answer::Ended(3 << 8)]), format!("{ended:?}"));
        let refused = Ending::Refused(io::Error::from_raw_os_error(13));
        assert_eq!(told(&[Answer::Refused(13)]), format!("{refused:?}"));
        // a program that is no supervisor
        assert_eq!(format!("{:?}", Ending::read(b"usage: cat")), lost(false));
    }
}
