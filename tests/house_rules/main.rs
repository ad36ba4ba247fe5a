//! The house rules as tests: layers, names, sizes, SQL style, documents. No database, about
//! a second. Each rule is a function over paths and texts, so that a test can show it a
//! planted violation; a message says what is wrong, why it matters and what to do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails there")]

mod sql;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A file of this repository: its path from the root, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

type Violations = Vec<String>;

/// Who may import whom. A part absent on the right is unknown to the part on the left;
/// ARCHITECTURE.md says why. `*` stands for everybody.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("telemetry", &["domain"]),
    ("shutdown", &["supervisor"]),
    ("supervisor", &[]),
    ("http", &[]),
    ("tls", &[]),
    ("store", &["domain", "tls"]),
    ("sender", &["domain", "tls"]),
    ("subscriptions", &["domain", "store", "supervisor", "telemetry", "tls"]),
    ("tenants", &["domain", "store"]),
    ("intake", &["domain", "store", "subscriptions", "supervisor", "tenants", "telemetry"]),
    ("worker", &["domain", "store", "sender", "subscriptions", "supervisor", "telemetry"]),
    ("upkeep", &["domain", "store", "telemetry"]),
    ("api", &["domain", "http", "store", "subscriptions", "tenants", "intake", "supervisor", "telemetry"]),
    ("commands", &["*"]),
];

const MAX_CODE_LINES: usize = 300;
/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, usize, &str)] =
    &[("src/config.rs", 360, "every setting stands in one list, which is read as a document")];

const DRAWERS: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "shared", "types", "manager"];

const FORBIDDEN_CALLS: &[(&str, &str)] = &[
    (".unwrap()", "it ends the process without a word: use `?`, or `expect` with the invariant that makes it safe"),
    ("panic!(", "failures of ours are errors with a source, failures of receivers are outcomes"),
    ("todo!(", "what is merged works"),
    ("unimplemented!(", "what is merged works"),
    ("println!(", "it panics when nobody reads: a command prints with `output::print`, everything else logs"),
    ("print!(", "it panics when nobody reads: a command prints with `output::print`, everything else logs"),
    ("#[allow(", "write `#[expect(lint, reason = \"…\")]`: it complains when it is no longer needed"),
    ("#![allow(", "write `#[expect(lint, reason = \"…\")]`: it complains when it is no longer needed"),
];

/// Where tasks are spawned that no supervisor watches, each with what a panic in them costs.
const UNWATCHED_TASKS: &[(&str, usize, &str)] = &[
    ("src/supervisor.rs", 1, "watches what it spawns"),
    ("src/http/request_body.rs", 1, "reads the rest of one refused body"),
    ("src/store/direct.rs", 1, "one connection: its client gets an error"),
    ("src/store/pool.rs", 3, "opens one connection: whoever waits gets an error, the next request opens another"),
    ("src/subscriptions/redis.rs", 1, "writes one copy: the next reader makes it again"),
    ("src/tenants/gather.rs", 1, "looks up: a panic refuses whoever waits, the next request starts another"),
    ("src/tenants/mod.rs", 1, "looks for changes once: its end lets the next one begin"),
];

/// What makes a rule of `domain` depend on more than its arguments.
const IMPURE: &[&str] =
    &["now_utc", "Instant::now", "SystemTime::now", "new_v4", "now_v7", "SystemRandom", "std::fs", "std::env"];

const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("/tmp/", "wt"),
];

// Reading.

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn file(path: &str) -> Source {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Source { path: path.to_owned(), text }
}

/// The program's own files; a `tests` folder beside a module is no part of it.
fn rust_sources() -> Vec<Source> {
    let own = |source: &Source| source.path.ends_with(".rs") && !source.path.contains("/tests/");
    files_under("src").into_iter().filter(own).collect()
}

/// The benchmark's files.
fn bench_sources() -> Vec<Source> {
    files_under("benches").into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

/// The lines before the tests of the file, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let tests_begin = text
        .lines()
        .zip(text.lines().skip(1))
        .position(|(attribute, module)| attribute.trim() == "#[cfg(test)]" && module.ends_with("mod tests {"));
    numbered.take(tests_begin.unwrap_or(usize::MAX))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// The part of the program a file belongs to: its folder under `src/`, or its name there.
fn part(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

fn check(violations: Violations) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

// Rules.

/// The parts that a line names as `crate::part` or inside `crate::{…}`.
fn imported_parts(line: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for after in line.split("crate::").skip(1) {
        let names: Vec<&str> = match after.strip_prefix('{') {
            Some(group) => group.split(',').collect(),
            None => vec![after],
        };
        for name in names {
            let word: String = name.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !word.is_empty() {
                parts.push(word);
            }
        }
    }
    parts
}

fn layers(source: &Source) -> Violations {
    let own = part(&source.path);
    if own == "main" || own == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(part, _)| *part == own) else {
        return vec![format!("{}: the part `{own}` is not in LAYERS: say there what it may import", source.path)];
    };
    let mut violations = Vec::new();
    for (number, line) in code_lines(&source.text).filter(|(_, line)| !is_comment(line)) {
        for import in imported_parts(line) {
            let known = LAYERS.iter().any(|(part, _)| *part == import);
            if known && import != own && !allowed.contains(&"*") && !allowed.contains(&import.as_str()) {
                violations.push(format!(
                    "{}:{number}: `{own}` must not know `{import}` (it may import {allowed:?}): the halves meet only in \
                     the database, so that either can be deleted. Pass a value in, or connect the two in `commands`",
                    source.path
                ));
            }
        }
    }
    violations
}

/// `super::` climbs to the crate's root unseen by [`layers`]: as many as the file is deep.
fn climbs(source: &Source) -> Violations {
    let depth = source.path.trim_end_matches("/mod.rs").matches('/').count();
    let climb = "super::".repeat(depth);
    let lines = code_lines(&source.text).filter(|(_, line)| !is_comment(line) && line.contains(&climb));
    let say =
        |number| format!("{}:{number}: `{climb}` leaves the part: write `crate::` for what is outside", source.path);
    lines.map(|(number, _)| say(number)).collect()
}

fn module_docs(source: &Source) -> Violations {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![format!("{}: has no module doc: open it with `//!`: what it is for, and what it does not do", source.path)]
}

fn length(source: &Source) -> Violations {
    let lines = code_lines(&source.text).count();
    let limit =
        LONG_FILES.iter().find(|(path, ..)| *path == source.path).map_or(MAX_CODE_LINES, |(_, limit, _)| *limit);
    if lines <= limit {
        return Vec::new();
    }
    vec![format!(
        "{}: {lines} lines of code, the limit is {limit}: it holds more than one concept; split it, or give a reason in \
         LONG_FILES",
        source.path
    )]
}

fn names(source: &Source) -> Violations {
    let words = source.path.split('/').map(|word| word.split('.').next().unwrap_or(word));
    words
        .filter(|word| DRAWERS.contains(word))
        .map(|word| format!("{}: `{word}` is a drawer, not a concept: name the file after what is in it", source.path))
        .collect()
}

fn calls(source: &Source) -> Violations {
    let mut violations = Vec::new();
    for (number, line) in code_lines(&source.text).filter(|(_, line)| !is_comment(line)) {
        for (call, why) in FORBIDDEN_CALLS.iter().filter(|(call, _)| line.contains(call)) {
            violations.push(format!("{}:{number}: `{call}` does not belong in src: {why}", source.path));
        }
    }
    violations
}

/// A task that nobody watches ends without a word, and what it was for is never done again.
fn unwatched_tasks(source: &Source) -> Violations {
    let found =
        code_lines(&source.text).filter(|(_, line)| !is_comment(line) && line.contains("tokio::spawn(")).count();
    let allowed = UNWATCHED_TASKS.iter().find(|(path, ..)| *path == source.path).map_or(0, |(_, count, _)| *count);
    if found == allowed {
        return Vec::new();
    }
    vec![format!(
        "{}: calls tokio::spawn {found} times, {allowed} are known: let a `Supervisor` spawn the task, or say in \
         UNWATCHED_TASKS what a panic in it costs",
        source.path
    )]
}

fn parts_are_on_the_map(sources: &[Source], map: &str) -> Violations {
    let folders: BTreeSet<&str> =
        sources.iter().filter(|source| source.path.matches('/').count() > 1).map(|source| part(&source.path)).collect();
    let absent = folders.into_iter().filter(|folder| !map.contains(&format!("src/{folder}")));
    absent.map(|folder| format!("ARCHITECTURE.md: src/{folder} is not on the map: say what it is for")).collect()
}

fn machine_paths(source: &Source) -> Violations {
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| MACHINE_PATHS.iter().any(|path| line.contains(path)))
        .map(|(index, _)| format!("{}:{}: names a path of somebody's machine", source.path, index + 1))
        .collect()
}

fn purity(source: &Source) -> Violations {
    let lines = code_lines(&source.text).filter(|_| part(&source.path) == "domain");
    let found = lines.filter_map(|(number, line)| Some((number, IMPURE.iter().find(|word| line.contains(**word))?)));
    let say = |(number, word)| {
        format!(
            "{}:{number}: `{word}` in domain: take time and random bits as arguments, so that a test can give them",
            source.path
        )
    };
    found.map(say).collect()
}

// Claims.

fn every(sources: &[Source], rule: impl Fn(&Source) -> Violations) {
    assert!(!sources.is_empty(), "there is nothing to check: has a folder moved?");
    check(sources.iter().flat_map(rule).collect());
}

#[test]
fn parts_import_only_what_their_layer_may_know() {
    every(&rust_sources(), layers);
    every(&rust_sources(), climbs);
}

#[test]
fn only_commands_read_settings() {
    let readers = LAYERS.iter().filter(|(_, allowed)| allowed.contains(&"config")).count();
    assert_eq!(readers, 0, "settings reach the other parts as arguments");
}

#[test]
fn every_module_says_what_it_is_for() {
    every(&rust_sources(), module_docs);
    every(&bench_sources(), module_docs);
}

#[test]
fn a_file_holds_one_concept() {
    every(&rust_sources(), length);
    every(&rust_sources(), names);
    every(&bench_sources(), length);
    every(&bench_sources(), names);
}

#[test]
fn nothing_in_src_gives_up_without_a_word() {
    every(&rust_sources(), calls);
}

#[test]
fn every_task_that_lasts_has_a_supervisor() {
    every(&rust_sources(), unwatched_tasks);
}

#[test]
fn domain_reads_no_clock_and_makes_no_random_bits() {
    every(&rust_sources(), purity);
}

#[test]
fn every_part_is_on_the_map() {
    check(parts_are_on_the_map(&rust_sources(), &file("ARCHITECTURE.md").text));
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let folders = ["src", "sql", "tests", "examples", "docs", "deploy", "benches", ".ci"];
    let mut sources: Vec<Source> = folders.into_iter().flat_map(files_under).collect();
    let documents = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", ".env.example", "docker-compose.yml"];
    sources.extend(documents.into_iter().map(file));
    every(&sources, machine_paths);
}

#[test]
fn each_rule_catches_a_planted_violation() {
    let planted = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let rust = |text: &str| planted("src/sender/client.rs", text);
    assert_eq!(layers(&rust("use crate::store::Store;")).len(), 1);
    assert_eq!(layers(&rust("use crate::{domain::id, worker};\nlet a = crate::config::A;")).len(), 2);
    assert_eq!(layers(&rust("use crate::domain::id;\n// crate::store\nuse crate::sender::gate;")).len(), 0);
    assert_eq!(layers(&planted("src/novelty/mod.rs", "")).len(), 1);
    assert_eq!(climbs(&rust("use super::super::store;")).len(), 1);
    assert_eq!(climbs(&planted("src/sender/mod.rs", "use super::store;")).len(), 1);
    assert_eq!(climbs(&rust("use super::gate;")).len(), 0);
    assert_eq!(module_docs(&rust("use std::fmt;")).len(), 1);
    assert_eq!(length(&rust(&"a;\n".repeat(301))).len(), 1);
    assert_eq!(length(&rust(&format!("a;\n#[cfg(test)]\nmod tests {{\n{}}}", "a;\n".repeat(400)))).len(), 0);
    assert_eq!(names(&planted("src/api/utils.rs", "")).len(), 1);
    assert_eq!(calls(&rust("a.unwrap();\n#[cfg(test)]\nmod tests {\nb.unwrap();\n}")).len(), 1);
    assert_eq!(calls(&rust("eprintln!(\"a\");")).len(), 1);
    assert_eq!(unwatched_tasks(&rust("tokio::spawn(a());")).len(), 1);
    assert_eq!(unwatched_tasks(&rust("supervisor.spawn(\"a\", a());")).len(), 0);
    assert_eq!(parts_are_on_the_map(&[rust("")], "src/store is the truth").len(), 1);
    assert_eq!(purity(&planted("src/domain/id.rs", "let now = Instant::now();")).len(), 1);
    assert_eq!(machine_paths(&rust(concat!("\"/ho", "me/somebody/x\""))).len(), 1);
}
