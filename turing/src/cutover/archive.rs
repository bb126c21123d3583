//! The old table as a file, and its end.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, open, renameat_with};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use turing_domain::CutoverArchive;

use super::error::CutoverError;
use super::spelled::Spelled;
use super::work::{Work, patiently};
use super::{CutoverRow, Mover};

/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

impl Mover {
    /// Writes the old table, which is out of use, to a file: CSV with the names of its columns, ordered by
    /// posting. The file is whole as soon as it has its name; until then it is `FILE.partial`. Its owner alone
    /// may read it.
    ///
    /// # Errors
    ///
    /// When the old table is not out of use, another file has that name, or the disk fails.
    pub async fn archive(&self, path: &Path) -> Result<CutoverArchive, CutoverError> {
        let hold = self.hold().await?;
        let mut work = self.begin("archiving the old table").await?;
        let known = self.known_with_table(&mut work).await?;
        known.cutover.may_archive()?;
        let archive = Box::pin(self.write_archive(&mut work, path)).await?;
        work.undo().await?;
        patiently(async || self.try_record_archive(&archive).await).await?;
        hold.give_back().await;
        Ok(archive)
    }

    /// Makes the file.
    async fn write_archive(
        &self,
        work: &mut Work,
        path: &Path,
    ) -> Result<CutoverArchive, CutoverError> {
        let failed = |source| CutoverError::Archive { what: "write", path: path.into(), source };
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let file_name = name.to_string_lossy().into_owned();
        let partial = partial(path);
        let spelled = Spelled::look(work).await?;
        let rows = spelled.rows(work).await?;
        let mut file = Digested::of(begun(&partial)?);
        copy(work, &spelled.copy, &mut file).await?.map_err(failed)?;
        let (sha256, bytes) = file.finish().map_err(failed)?;
        // whoever was killed behind this has left the file with its name
        match digest_of_there(path).map_err(failed)? {
            Some(there) if there.as_ref() == Some(&sha256) => {
                fs::remove_file(&partial).map_err(failed)?;
            }
            Some(_) => return Err(exists(&partial, path)),
            None => {
                named(&partial, path)?;
                sync_folder(path).map_err(failed)?;
            }
        }
        Ok(CutoverArchive { file_name, sha256, rows, bytes })
    }

    async fn try_record_archive(&self, archive: &CutoverArchive) -> Result<(), CutoverError> {
        let mut work = self.begin("recording the archive").await?;
        let decided =
            self.decided(|cutover| cutover.record_archive(archive.clone(), &self.who)).await?;
        self.record(&mut work, decided).await?;
        Ok(work.commit().await?)
    }

    /// Drops the old table, from which no way leads back: when it was out of use for sixty days, its name
    /// is confirmed, and the archive is the one that was recorded, of the table as it is.
    ///
    /// # Errors
    ///
    /// When one of these is not so; nothing is dropped then.
    pub async fn drop_old_table(&self, confirm: &str, archive: &Path) -> Result<(), CutoverError> {
        let hold = self.hold().await?;
        let mut work = self.begin("looking at the old table").await?;
        let known = self.known_with_table(&mut work).await?;
        work.undo().await?;
        // who is out of order is told that first, and who is wrong about the table before who is too early
        known.cutover.may_archive()?;
        is_confirmed(known.row()?, confirm)?;
        let recorded = known.cutover.archive().map_or("", |archive| &archive.sha256);
        known.cutover.drop_old_table(recorded, self.now(), &self.who)?;
        let sha256 = digest_of_archive(archive)?;
        patiently(async || self.try_drop(&sha256).await).await?;
        hold.give_back().await;
        Ok(())
    }

    async fn try_drop(&self, sha256: &str) -> Result<(), CutoverError> {
        let mut work = self.begin("dropping the old table").await?;
        let known = self.known(&mut work).await?;
        let now = self.now();
        let decided =
            self.decided(|cutover| cutover.drop_old_table(sha256, now, &self.who)).await?;
        let spelled = Spelled::look(&mut work).await?;
        let mut statements = work.statements_of("drop").await?;
        let is_lock = |statement: &String| statement.starts_with("LOCK TABLE");
        let locks = statements.iter().position(is_lock).map_or(0, |place| place + 1);
        for statement in statements.drain(..locks) {
            work.send(statement).await?;
        }
        // nobody writes it any more
        let mut table = Digested::of(io::sink());
        let copied = copy(&mut work, &spelled.copy, &mut table).await?;
        copied.expect("a sink takes everything");
        if hex(&table.digest.finalize()) != sha256 {
            let table = known.row()?.called().unwrap_or_default();
            return Err(CutoverError::WrittenSinceArchive { table });
        }
        for statement in statements {
            work.send(statement).await?;
        }
        self.record(&mut work, decided).await?;
        Ok(work.commit().await?)
    }
}

/// Refuses every name but that of the table that would be dropped, with its schema or without.
pub(super) fn is_confirmed(row: &CutoverRow, given: &str) -> Result<(), CutoverError> {
    let table = row.called().unwrap_or_default();
    let bare = row.old_table.as_ref().map_or("", |(_, name)| name);
    match !given.is_empty() && (given == table || given == bare) {
        true => Ok(()),
        false => {
            let (table, given) = (bare.to_owned(), given.chars().take(200).collect());
            Err(CutoverError::NotConfirmed { table, given })
        }
    }
}

/// What the file is called until it is whole.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Makes a file that its owner alone may read, in the place of one that a killed call has left. Whatever else
/// has the name stays, and a link is not followed: it may lead to somebody else's file.
fn begun(partial: &Path) -> Result<File, CutoverError> {
    let path = || partial.to_owned();
    let failed = |source| CutoverError::Archive { what: "write", path: path(), source };
    match fs::symlink_metadata(partial) {
        Ok(there) if there.is_file() => fs::remove_file(partial).map_err(failed)?,
        Ok(_) => return Err(CutoverError::ArchiveInTheWay { path: path() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open(partial, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // somebody has made one since
        Err(Errno::EXIST) => Err(CutoverError::ArchiveInTheWay { path: path() }),
        Err(error) => Err(failed(error.into())),
    }
}

/// Gives the file that is whole its name, if nobody else has it.
fn named(partial: &Path, path: &Path) -> Result<(), CutoverError> {
    let failed = |source| CutoverError::Archive { what: "write", path: path.to_owned(), source };
    match renameat_with(CWD, partial, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(exists(partial, path)),
        // a file system that cannot do that gives it a second name, which is nobody's either
        Err(Errno::INVAL | Errno::NOSYS) => match fs::hard_link(partial, path) {
            Ok(()) => fs::remove_file(partial).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(partial, path))
            }
            Err(error) => Err(failed(error)),
        },
        Err(error) => Err(failed(error.into())),
    }
}

/// The refusal of a name that another file has; what was written beside it goes.
fn exists(partial: &Path, path: &Path) -> CutoverError {
    // one that stays is replaced by the next call
    let _ = fs::remove_file(partial);
    CutoverError::ArchiveExists { path: path.to_owned() }
}

/// Writes what the database copies; the outer failure is the database's, the inner one the file's.
async fn copy(
    work: &mut Work,
    statement: &str,
    file: &mut Digested<impl Write + Send>,
) -> Result<io::Result<()>, CutoverError> {
    let pieces = work.connection.copy_out_raw(statement).await;
    let mut written = Ok(());
    let copied = async {
        let mut pieces = pieces?;
        while let Some(piece) = pieces.try_next().await? {
            // the rest is read all the same, so that the connection stays in order
            if written.is_ok() {
                written = file.write(&piece);
            }
        }
        Ok::<_, es_postgres::sqlx::Error>(())
    };
    let copied = copied.await;
    copied.map_err(|error| work.failed(error))?;
    Ok(written)
}

/// A file that is written, with its digest.
struct Digested<W: Write> {
    file: BufWriter<W>,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Digested<W> {
    fn of(file: W) -> Self {
        Self { file: BufWriter::with_capacity(PIECE, file), digest: Sha256::new(), bytes: 0 }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.digest.update(piece);
        self.bytes += piece.len() as u64;
        self.file.write_all(piece)
    }
}

impl Digested<File> {
    /// Has it reach the disk, and answers SHA-256 and size.
    fn finish(mut self) -> io::Result<(String, u64)> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok((hex(&self.digest.finalize()), self.bytes))
    }
}

/// SHA-256 of the archive.
pub(super) fn digest_of_archive(path: &Path) -> Result<String, CutoverError> {
    digest_of_file(path).map_err(|source| CutoverError::Archive {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

/// The digest of what has the name, if something has it; of what is no file there is none, and a link is none.
fn digest_of_there(path: &Path) -> io::Result<Option<Option<String>>> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => Ok(Some(Some(digest_of_file(path)?))),
        Ok(_) => Ok(Some(None)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn digest_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&digest.finalize())),
            length => digest.update(&piece[..length]),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut hex, byte| {
        // a String takes whatever is written into it
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Has the name of a file reach the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_file_is_that_of_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.csv");
        let mut file = Digested::of(File::create(&path).unwrap());
        for piece in [&b"posting_id\n"[..], b"", &[b'7'; 3 * PIECE]] {
            file.write(piece).unwrap();
        }
        let (sha256, bytes) = file.finish().unwrap();
        assert_eq!(bytes, fs::metadata(&path).unwrap().len());
        assert_eq!(sha256, digest_of_file(&path).unwrap());
        assert_eq!(sha256.len(), 64);
        sync_folder(&path).unwrap();
        fs::write(&path, "").unwrap();
        // as every program says of nothing
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest_of_archive(&path).unwrap(), nothing);
        let error = digest_of_archive(&folder.path().join("no.csv")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the archive "), "{error}");
    }

    #[test]
    fn an_archive_is_begun_behind_no_link_and_takes_nobodys_name() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let [path, theirs] = ["old.csv", "theirs"].map(|name| folder.path().join(name));
        let partial = partial(&path);
        fs::write(&theirs, "mine").unwrap();
        symlink(&theirs, &partial).unwrap();
        let error = begun(&partial).unwrap_err().to_string();
        assert!(
            error.contains("old.csv.partial is in the way") && error.contains("remove it"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "mine");
        fs::remove_file(&partial).unwrap();
        // what a killed call has left is begun anew, also where others might read it
        fs::write(&partial, "half of it").unwrap();
        let file = begun(&partial).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.metadata().unwrap().len(), 0);
        for taken in [false, true] {
            match taken {
                true => symlink("nowhere", &path).unwrap(),
                false => fs::write(&path, "mine").unwrap(),
            }
            begun(&partial).unwrap();
            let error = named(&partial, &path).unwrap_err().to_string();
            assert!(error.contains("old.csv is there already"), "{error}");
            assert!(!partial.exists(), "what was written beside it is gone");
            fs::remove_file(&path).unwrap();
        }
        begun(&partial).unwrap();
        named(&partial, &path).unwrap();
        assert!(path.is_file() && !partial.exists());
    }

    #[test]
    fn a_file_that_is_not_whole_has_another_name_in_the_same_folder() {
        assert_eq!(partial(Path::new("a/old.csv")), Path::new("a/old.csv.partial"));
    }

    #[test]
    fn only_the_name_of_the_table_that_goes_is_a_confirmation() {
        let name = |name: &str| Some(("public".to_owned(), name.to_owned()));
        let row = CutoverRow {
            phase: 5,
            old_name: name("old"),
            old_table: name("old_deprecated"),
            mapping: None,
            columns_digest: None,
            is_backfilled: true,
            backfilled_through: None,
            backfill_total: None,
            backfill_done: 0,
        };
        for given in ["old_deprecated", "public.old_deprecated"] {
            is_confirmed(&row, given).unwrap();
        }
        for given in ["old", "", "OLD_DEPRECATED", "old_deprecated ", "jobs.old_deprecated"] {
            let error = is_confirmed(&row, given).unwrap_err().to_string();
            assert!(error.ends_with("confirm `old_deprecated`"), "{error}");
        }
        let gone = CutoverRow { old_table: None, ..row };
        assert!(is_confirmed(&gone, "").is_err());
    }
}
