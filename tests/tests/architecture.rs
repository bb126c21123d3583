//! What holds the architecture: layers, licences, and rules about files that no compiler checks.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap()
}

/// Every file of the repository with one of these endings; build output left out.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, endings, found);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), endings, &mut found);
    assert!(found.len() > 5, "found only {found:?}");
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn dependencies_point_one_way() {
    // what each crate may depend on, apart from tests
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("es-macros", &[] as &[&str]),
        ("es-core", &["es-macros"]),
        ("es-memory", &["es-core"]),
        ("es-sqlite", &["es-core"]),
        ("es-postgres", &["es-core"]),
        ("es-pgtest", &[]),
        ("es-testing", &["es-core"]),
        ("turing-domain", &["es-core"]),
        (
            "turing-workflows",
            &["es-core", "es-memory", "es-postgres", "es-sqlite", "turing-domain"],
        ),
        ("es-tests", &[]),
        ("es-plain", &[]),
        ("es-renamed", &["es-core"]),
        ("es-benches", &["es-core", "es-memory", "es-pgtest", "es-postgres", "es-sqlite"]),
        ("es-examples", &["es-core"]),
    ]);
    let metadata = metadata();
    let ours: BTreeSet<_> =
        metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    assert_eq!(ours, allowed.keys().map(|name| (*name).to_owned()).collect());
    for package in metadata.workspace_packages() {
        let depends = package.dependencies.iter().filter(|dependency| {
            dependency.kind == DependencyKind::Normal && ours.contains(&dependency.name)
        });
        for dependency in depends {
            assert!(
                allowed[package.name.as_str()].contains(&dependency.name.as_str()),
                "{} must not depend on {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn the_core_knows_no_database_and_the_domain_no_store() {
    let metadata = metadata();
    let normal = |package: &Package| {
        let depends = package.dependencies.iter();
        depends
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .map(|dependency| dependency.name.clone())
            .collect::<BTreeSet<_>>()
    };
    for package in metadata.workspace_packages() {
        let depends = normal(package);
        let forbidden: &[&str] = match package.name.as_str() {
            "es-core" | "es-testing" => &["rusqlite", "sqlx"],
            "turing-domain" => &["rusqlite", "sqlx", "tokio", "async-trait", "chrono", "fastrand"],
            "es-memory" => &["rusqlite", "sqlx"],
            "es-sqlite" => &["sqlx"],
            "es-postgres" => &["rusqlite"],
            _ => continue,
        };
        for name in forbidden {
            assert!(!depends.contains(*name), "{} depends on {name}", package.name);
        }
    }
}

/// The packages that are published, in an order in which they can be.
const PUBLISHED: [&str; 8] = [
    "es-macros",
    "es-core",
    "es-memory",
    "es-testing",
    "es-sqlite",
    "es-postgres",
    "turing-domain",
    "turing-workflows",
];

#[test]
fn published_packages_stand_alone_and_say_what_they_are() {
    let metadata = metadata();
    let ours = metadata.workspace_packages();
    let is_ours = |name: &str| ours.iter().any(|package| package.name.as_str() == name);
    for package in &ours {
        let name = package.name.as_str();
        let Some(place) = PUBLISHED.iter().position(|published| *published == name) else {
            assert_eq!(package.publish, Some(Vec::new()), "{name} is published");
            continue;
        };
        assert_eq!(package.publish, None, "{name} is not published");
        assert!(package.description.is_some(), "{name} has no description");
        assert!((1..=5).contains(&package.keywords.len()), "{name} has not 1 to 5 keywords");
        assert!(!package.categories.is_empty(), "{name} has no category");
        let readme = package.readme.as_ref().map(|readme| readme.as_str());
        assert_eq!(readme, Some("README.md"), "{name} has no README of its own");
        for dependency in package.dependencies.iter().filter(|it| is_ours(&it.name)) {
            let has_version = dependency.req.to_string() != "*";
            let is_before = PUBLISHED[..place].contains(&dependency.name.as_str());
            match dependency.kind {
                // cargo leaves them out, so that nothing goes round in a circle
                DependencyKind::Development => {
                    assert!(!has_version, "{name} tests with a version of {}", dependency.name);
                }
                _ => assert!(
                    has_version && is_before,
                    "{name} cannot be published with {} as it depends on it",
                    dependency.name
                ),
            }
        }
    }
}

/// The files that a source includes, as they are written; of one whose name is put together, the
/// beginning.
fn included(text: &str) -> Vec<&str> {
    let calls = ["include_str!(", "include_bytes!(", "include!("];
    let found = calls.iter().flat_map(|call| text.split(call).skip(1));
    let arguments = found.map(|rest| rest.trim_start().trim_start_matches("concat!("));
    arguments
        .filter_map(|argument| argument.trim_start().strip_prefix('"')?.split('"').next())
        .collect()
}

#[test]
fn no_published_source_reaches_out_of_its_package() {
    assert_eq!(included("a(include_str!(\n  \"../b.sql\"))"), ["../b.sql"]);
    let metadata = metadata();
    let (sources, mut seen) = (files(&[".rs"]), 0);
    for package in metadata.workspace_packages() {
        if !PUBLISHED.contains(&package.name.as_str()) {
            continue;
        }
        let folder = package.manifest_path.parent().unwrap().as_std_path();
        let own = sources.iter().filter(|path| {
            path.starts_with(folder.join("src")) || **path == folder.join("build.rs")
        });
        for path in own {
            let text = fs::read_to_string(path).unwrap();
            for name in included(&text) {
                let within = path.parent().unwrap().strip_prefix(folder).unwrap();
                let mut depth = within.components().count();
                for part in Path::new(name).components() {
                    let is_up = part == Component::ParentDir;
                    assert!(!is_up || depth > 0, "{} includes {name} of elsewhere", shown(path));
                    depth = if is_up { depth - 1 } else { depth + 1 };
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "only {seen} included files were found");
}

#[test]
fn the_core_waits_and_spawns_by_its_environment() {
    let foreign = ["tokio::time", "tokio::task", "tokio::spawn", "tokio::runtime", "Instant::now"];
    let sources: Vec<_> = files(&[".rs"]).into_iter().map(|path| (shown(&path), path)).collect();
    let sources = sources.iter().filter(|(name, _)| {
        name.starts_with("es-core/src/") && !name.starts_with("es-core/src/environment")
    });
    let sources: Vec<_> = sources.collect();
    // modules in files of their own that only tests have
    let of_tests: Vec<_> = sources
        .iter()
        .flat_map(|(name, path)| {
            let text = fs::read_to_string(path).unwrap();
            let parts = text.split("#[cfg(test)]\nmod ").skip(1);
            let modules = parts.filter_map(|part| Some(part.split_once(';')?.0.to_owned()));
            let parent = name.trim_end_matches(".rs").trim_end_matches("/lib").to_owned();
            modules.map(move |module| format!("{parent}/{module}")).collect::<Vec<_>>()
        })
        .collect();
    for (name, path) in sources {
        let is_of = |module: &String| {
            name.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if of_tests.iter().any(is_of) {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            let is_foreign = !line.trim_start().starts_with("//")
                && foreign.iter().any(|foreign| line.contains(foreign));
            assert!(!is_foreign, "{name}:{} goes past the environment's runtime", number + 1);
        }
    }
}

#[test]
fn the_root_of_the_core_is_what_a_domain_needs() {
    let text = fs::read_to_string(root().join("es-core/src/lib.rs")).unwrap();
    let uses = text.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let uses =
        uses.filter(|path| !path.starts_with("es_macros")).filter_map(|it| it.split_once("::"));
    let names = uses.flat_map(|(_, names)| names.split([',', '{', '}'])).map(str::trim);
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    assert_eq!(names.len(), 17, "others are at home in a module of their own: {names:?}");
}

#[test]
fn only_tools_of_turing_know_the_contract_of_backends() {
    // what looks at the log, models and kept states as they are stored, and a layer over the store
    let tools = [
        "store",
        "read_models",
        "validate",
        "run/held_file",
        "cli/projection",
        "cli/snapshot",
        "cli/upkeep",
    ];
    for path in files(&[".rs"]) {
        let name = shown(&path);
        let is_domain =
            ["turing-domain/src/", "examples/src/"].iter().any(|it| name.starts_with(it));
        let in_turing = name.strip_prefix("turing/src/");
        let is_tool = in_turing.is_none_or(|it| tools.iter().any(|tool| it.starts_with(tool)));
        if is_tool && !is_domain || name.ends_with("/tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("es_core::backend"), "{name} knows the contract of backends");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let deny: toml::Table =
        toml::from_str(&fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: Vec<_> = allowed
        .iter()
        .map(|licence| spdx::Licensee::parse(licence.as_str().unwrap()).unwrap())
        .collect();
    let metadata = metadata();
    for package in &metadata.packages {
        let text = package.license.as_deref().unwrap_or_else(|| panic!("{}: none", package.name));
        let licence = spdx::Expression::parse_mode(text, spdx::ParseMode::LAX).unwrap();
        let is_allowed =
            licence.evaluate(|wanted| allowed.iter().any(|allowed| allowed.satisfies(wanted)));
        assert!(is_allowed, "{} is under {text}", package.name);
    }
}

#[test]
fn no_example_is_left_unchecked() {
    for path in files(&[".rs", ".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let fence = line.trim_start_matches(['/', '!', ' ']).strip_prefix("```");
            let is_ignored = fence.is_some_and(|info| info.split(',').any(|word| word == "ignore"));
            assert!(!is_ignored, "{}:{} ignores an example", shown(&path), number + 1);
        }
    }
}

#[test]
fn statements_live_in_sql_files() {
    // a keyword at the beginning of a string literal, in code that is neither test nor example
    let keywords = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE ", "DROP "];
    for path in files(&[".rs"]) {
        let name = shown(&path);
        let is_shown = ["es-testing", "benches", "examples"].iter().any(|it| name.starts_with(it));
        if name.contains("tests") || is_shown {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            let is_statement =
                keywords.iter().any(|keyword| line.contains(&format!("\"{keyword}")));
            assert!(!is_statement, "{name}:{} holds a statement", number + 1);
        }
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    const HARD_LIMIT: usize = 600;
    for path in files(&[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        assert!(lines <= HARD_LIMIT, "{} has {lines} lines; divide it", shown(&path));
    }
}

#[test]
fn every_decision_is_listed_and_short() {
    let folder = root().join("docs/adr");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "README.md" {
            continue;
        }
        assert!(index.contains(&format!("({name})")), "{name} is not in the index");
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 60, "{name} has {lines} lines");
    }
}

#[test]
fn tests_wait_for_conditions_and_not_for_time() {
    for path in files(&[".rs"]) {
        let name = shown(&path);
        if !name.contains("/tests/") && !name.ends_with("tests.rs")
            || name.ends_with("architecture.rs")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let sleeps = line.contains("thread::sleep(") || line.contains("time::sleep(");
            assert!(!sleeps, "{name}:{} sleeps", number + 1);
        }
    }
}

/// The text without what stands before each line.
fn unindented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

/// The blocks of Rust in a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == "```rust" {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(unindented(&block.join("\n")));
        }
    }
    blocks
}

#[test]
fn readme_and_guide_show_code_that_runs() {
    const FRONT_PAGES: [&str; 2] = ["README.md", "es-core/README.md"];
    // their blocks are run as they stand
    const RUN: [&str; 2] = ["docs/evolution.md", "docs/postgresql.md"];
    let is_example = |path: &PathBuf| {
        let name = shown(path);
        let folders = ["examples/", "es-memory/examples/", "es-testing/examples/"];
        folders.iter().any(|folder| name.starts_with(folder))
    };
    let examples: Vec<_> = files(&[".rs"]).into_iter().filter(is_example).collect();
    let examples = examples.iter().map(|path| unindented(&fs::read_to_string(path).unwrap()));
    let examples: Vec<_> = examples.collect();
    let mut shown_blocks = 0;
    for path in files(&[".md"]) {
        let name = shown(&path);
        let is_guide = name.strip_prefix("docs/").is_some_and(|page| !page.contains('/'));
        let is_shown = is_guide || FRONT_PAGES.contains(&name.as_str());
        if !is_shown || RUN.contains(&name.as_str()) {
            continue;
        }
        for block in blocks(&fs::read_to_string(&path).unwrap()) {
            let is_run = examples.iter().any(|example| example.contains(&block));
            assert!(is_run, "{name} shows what is in no example; copy it from there:\n{block}");
            shown_blocks += 1;
        }
    }
    assert!(shown_blocks > 5, "only {shown_blocks} blocks were found");
}

/// How many lines an example has from the one that begins with `from` to the end of what begins with
/// `to`.
fn lines_of(example: &str, from: &str, to: &str) -> usize {
    let text = fs::read_to_string(root().join("examples").join(example)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let next = |start: usize, begin: &str| {
        let found = lines[start..].iter().position(|line| line.starts_with(begin));
        start + found.unwrap_or_else(|| panic!("{example} has no line that begins with `{begin}`"))
    };
    let first = next(0, from);
    next(next(first, to), "}") - first + 1
}

#[test]
fn examples_are_as_short_as_they_are_said_to_be() {
    for (example, most) in [("counter", 40), ("bank", 150)] {
        let path = root().join("es-memory/examples").join(example).with_extension("rs");
        let lines = fs::read_to_string(path).unwrap().lines().count();
        assert!(lines <= most, "{example} has {lines} lines");
    }
    for (example, from, to, most) in [
        ("projection.rs", "impl Projection", "impl Projection", 20),
        ("table.rs", "#[derive(TableRow", "impl TableProjection", 25),
        ("reaction.rs", "#[derive(Event)]", "impl Reaction", 40),
        ("http.rs", "async fn pay", "impl IntoResponse for Problem", 40),
        ("bench.rs", "async fn paying", "async fn paying", 10),
    ] {
        let lines = lines_of(example, from, to);
        assert!(lines <= most, "what {example} shows has {lines} lines, and may have {most}");
    }
}
