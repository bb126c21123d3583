//! A definition as it was read, with everything that is wrong with it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};
use turing_domain::{
    ActorKind, Place, Problem, ProblemKind, Severity, Workflow, check, check_with_data,
};

use super::lines::{LineNumbers, Lines};
use super::words::in_words;
use super::{
    DefinitionError, Finding, FindingKind, MAX_BYTES, MAX_STORED_BYTES, Recorded, actors,
    stored_bytes,
};
use crate::postings::digest_of;
use crate::schema::{SchemaError, Validator};

const FORMAT: &str = "correct it; docs/workflow-format.md describes every key";

/// The cure where the scripts of a recorded definition are not where its file was.
const LOOKED_FOR: &str =
    "name the folder of the scripts with --folder DIR; their paths are relative to it";

/// A definition that was read, whether it can be run or not.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The workflow.
    pub workflow: Workflow,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The folder of that file, absolute.
    pub folder: PathBuf,
    /// The text of the file.
    pub text: Arc<str>,
    /// SHA-256 of the text.
    pub digest: String,
    /// Everything that was found, the errors first, then in the order of the lines.
    pub findings: Vec<Finding>,
    pub(super) lines: Lines,
}

impl Draft {
    /// Reads the definition in `path` and looks for everything that is wrong with it.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`] if it is not a definition at all.
    pub fn read(path: &Path) -> Result<Self, DefinitionError> {
        let unreadable = |source| DefinitionError::Unreadable { path: path.to_owned(), source };
        let file = std::path::absolute(path).map_err(unreadable)?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let mut bytes = Vec::new();
        // one byte more than allowed tells a file that is too large from one that just fits
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(DefinitionError::TooLarge { path: path.to_owned() });
        }
        let (text, workflow, lines) = parse(path, bytes)?;
        let bytes = stored_bytes(&text);
        if bytes > MAX_STORED_BYTES {
            return Err(DefinitionError::TooLong { path: path.to_owned(), bytes });
        }
        let (path, digest, text) = (path.to_owned(), digest_of(&text), text.into());
        let draft = Self { workflow, path, folder, text, digest, findings: Vec::new(), lines };
        Ok(draft.checked(None))
    }

    /// A definition as a store has it, whose scripts are in this folder.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn of_recorded(recorded: &Recorded, folder: PathBuf) -> Result<Self, DefinitionError> {
        let path = PathBuf::from(&recorded.file_name);
        let (text, workflow, lines) = parse(&path, recorded.text.clone().into_bytes())?;
        let (digest, text) = (recorded.digest.clone(), text.into());
        let draft = Self { workflow, path, folder, text, digest, findings: Vec::new(), lines };
        Ok(draft.checked(Some(LOOKED_FOR)))
    }

    /// The same with everything that is wrong with it; the cure is for scripts that are not there.
    fn checked(mut self, cure: Option<&str>) -> Self {
        let problems = check(&self.workflow);
        self.findings = problems.into_iter().map(|problem| self.finding(problem)).collect();
        self.add_faults(cure);
        self.add_schemas();
        Finding::sort(&mut self.findings);
        self
    }

    /// The further findings for postings whose data has these keys, in the same order.
    pub fn check_data(&self, keys: &BTreeSet<String>) -> Vec<Finding> {
        data_findings(&self.workflow, keys, |problem| self.finding(problem))
    }

    fn finding(&self, problem: Problem) -> Finding {
        self.lines.finding(&self.file(), problem)
    }

    fn file(&self) -> String {
        self.path.display().to_string()
    }

    /// Adds what keeps actors from executing here, except where that is known already.
    fn add_faults(&mut self, cure: Option<&str>) {
        let kind = FindingKind::Problem(ProblemKind::UnusableActor);
        let is_known = |place| {
            let mut findings = self.findings.iter();
            findings.any(|finding| finding.kind == kind && finding.place == Some(place))
        };
        let file = self.file();
        let faults: Vec<_> = actors::faults(&self.workflow, &self.folder, cure)
            .filter(|(actor, _)| !is_known(Place::Actor(actor.id)))
            .map(|(actor, fault)| Finding {
                file: file.clone(),
                line: self.lines.of_actor(fault.index, fault.setting),
                severity: Severity::Error,
                kind,
                place: Some(Place::Actor(actor.id)),
                message: fault.message,
                cure: fault.cure,
            })
            .collect();
        self.findings.extend(faults);
    }

    /// Adds what is no schema: of answers of models, and of forms for people.
    fn add_schemas(&mut self) {
        let conversations = self.workflow.conversations.iter().enumerate();
        let schemas = conversations.filter_map(|(index, conversation)| {
            let error = Validator::new(conversation.schema.as_ref()?).err()?;
            let line = self.lines.of_schema(index, &error.pointer);
            Some(self.no_schema(line, Place::Conversation(conversation.id), "schema", &error))
        });
        let actors = self.workflow.actors.iter().enumerate();
        let forms = actors.filter_map(|(index, actor)| {
            let ActorKind::Human(human) = &actor.kind else { return None };
            let error = Validator::new(human.form.as_ref()?).err()?;
            let line = self.lines.of_form(index, &error.pointer);
            Some(self.no_schema(line, Place::Actor(actor.id), "form", &error))
        });
        let wrong: Vec<_> = schemas.chain(forms).collect();
        self.findings.extend(wrong);
    }

    fn no_schema(&self, line: usize, place: Place, setting: &str, error: &SchemaError) -> Finding {
        Finding {
            file: self.file(),
            line,
            severity: Severity::Error,
            kind: FindingKind::Problem(ProblemKind::UnusableSchema),
            place: Some(place),
            message: format!("`{setting}` is no JSON schema: {error}"),
            cure: "correct it; what it refers to must stand in it".to_owned(),
        }
    }
}

/// What [`check_with_data`] finds and [`check`] does not.
pub(super) fn data_findings(
    workflow: &Workflow,
    keys: &BTreeSet<String>,
    finding: impl Fn(Problem) -> Finding,
) -> Vec<Finding> {
    use ProblemKind::{DoubtfulPlaceholder, UnfillablePlaceholder};
    let is_about_a_placeholder =
        |problem: &Problem| matches!(problem.kind, UnfillablePlaceholder | DoubtfulPlaceholder);
    let known = check(workflow);
    let known: BTreeSet<_> = known
        .iter()
        .filter(|problem| is_about_a_placeholder(problem))
        .map(|problem| (problem.index, &problem.message))
        .collect();
    let mut findings: Vec<_> = check_with_data(workflow, keys)
        .into_iter()
        .filter(is_about_a_placeholder)
        .filter(|problem| !known.contains(&(problem.index, &problem.message)))
        .map(finding)
        .collect();
    Finding::sort(&mut findings);
    findings
}

pub(super) fn parse(
    path: &Path,
    bytes: Vec<u8>,
) -> Result<(String, Workflow, Lines), DefinitionError> {
    let file = path.display().to_string();
    let malformed = |findings| DefinitionError::Malformed { path: path.to_owned(), findings };
    let numbers = LineNumbers::of(&bytes);
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = numbers.line(error.utf8_error().valid_up_to());
        let message = "the text is not UTF-8";
        malformed(vec![Finding::malformed(&file, line, message, "save the file as UTF-8")])
    })?;
    let finding = |error: &toml::de::Error| {
        let line = numbers.of_span(error.span());
        let named = error.span().and_then(|span| text.get(span));
        Finding::malformed(&file, line, &in_words(error.message(), named), FORMAT)
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        let mut findings: Vec<_> = errors.iter().map(finding).collect();
        Finding::sort(&mut findings);
        return Err(malformed(findings));
    }
    let lines = Lines::of(&table, &numbers);
    let workflow = Workflow::deserialize(Deserializer::from(table))
        .map_err(|error| malformed(vec![finding(&error)]))?;
    Ok((text, workflow, lines))
}
