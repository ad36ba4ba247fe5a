//! The documents say what is so: links lead somewhere, receivers and outcomes on a page are
//! those of the code. No database, about a second.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails there")]

use std::fs;
use std::path::{Path, PathBuf};

use postrider::domain::outcome::Outcome;

/// A receiver, and the language of its block on docs/receiving.md.
const RECEIVERS: [(&str, &str); 6] = [
    ("python/receiver.py", "python"),
    ("node/receiver.mjs", "js"),
    ("go/receiver.go", "go"),
    ("rust/src/main.rs", "rust"),
    ("ruby/config.ru", "ruby"),
    ("php/receiver.php", "php"),
];

/// What is built or installed beside the sources.
const NOT_OURS: [&str; 5] = [".git", ".postrider", "target", "node_modules", "vendor"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document, from the root.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().unwrap().is_dir() && !NOT_OURS.iter().any(|other| name == *other) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of a text's links that lead to files of this repository.
fn links(text: &str) -> Vec<String> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|after| after.split(')').next());
    let elsewhere = |target: &str| target.contains("://") || target.starts_with('/');
    targets.filter(|target| !elsewhere(target)).map(str::to_owned).collect()
}

/// The anchors that a document's headings make.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().chars().filter(|c| kept(*c)).collect::<String>())
        .map(|heading| heading.replace(' ', "-"))
        .collect()
}

/// What is wrong with a link of this document.
fn broken(document: &Path, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { document.to_owned() } else { document.parent().unwrap().join(file) };
    if !target.exists() {
        return Some(format!("{}: `{link}` leads to no file", document.display()));
    }
    let leads = anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|known| known == anchor);
    (!leads).then(|| format!("{}: `{link}` leads to no heading", document.display()))
}

#[test]
fn every_relative_link_leads_to_a_file_that_exists() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for document in documents() {
        for link in links(&fs::read_to_string(&document).unwrap()) {
            seen += 1;
            violations.extend(broken(&document, &link));
        }
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
    assert!(seen > 20, "only {seen} links: has a folder moved?");
}

#[test]
fn a_broken_link_is_found() {
    let page = root().join("docs/README.md");
    assert_eq!(links("see [a](b.md), [c](https://d.example), [e](/docs)\n```\n[f](g)\n```\n"), ["b.md"]);
    assert_eq!(anchors("# What *to* do: now?\n"), ["what-to-do-now"]);
    assert!(broken(&page, "nowhere.md").is_some());
    assert!(broken(&page, "retries.md#nothing").is_some());
    assert_eq!(broken(&page, "retries.md#outcomes"), None);
}

#[test]
fn every_page_is_in_the_index() {
    let index = read("docs/README.md");
    for page in fs::read_dir(root().join("docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let is_other = name == "README.md" || name == "images";
        assert!(is_other || index.contains(&format!("]({name})")), "docs/README.md does not name {name}");
    }
}

#[test]
fn every_picture_is_shown() {
    let pages: String = documents().iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    for picture in fs::read_dir(root().join("docs/images")).unwrap() {
        let name = picture.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains(&format!("images/{name})")), "no document shows docs/images/{name}");
    }
}

#[test]
fn the_receivers_on_the_page_are_those_of_the_examples() {
    let page = read("docs/receiving.md");
    for (path, language) in RECEIVERS {
        let block = format!("\n```{language}\n{}```\n", read(Path::new("examples/receivers").join(path)));
        assert!(page.contains(&block), "docs/receiving.md does not show examples/receivers/{path} as it is");
    }
    let folders = fs::read_dir(root().join("examples/receivers")).unwrap().count();
    assert_eq!(folders, RECEIVERS.len(), "a receiver of examples/receivers is not on the page");
}

/// A producer, and the language of its block on docs/producers.md.
const PRODUCERS: [(&str, &str); 5] = [
    ("publish.sh", "bash"),
    ("publish.py", "python"),
    ("publish.mjs", "js"),
    ("go/publish.go", "go"),
    ("rust/src/main.rs", "rust"),
];

#[test]
fn the_producers_on_the_page_are_those_of_the_examples() {
    let page = read("docs/producers.md");
    for (path, language) in PRODUCERS {
        let block = format!("\n```{language}\n{}```\n", read(Path::new("examples/producers").join(path)));
        assert!(page.contains(&block), "docs/producers.md does not show examples/producers/{path} as it is");
    }
    assert_eq!(fs::read_dir(root().join("examples/producers")).unwrap().count(), PRODUCERS.len());
}

#[test]
fn every_outcome_has_its_row_in_the_order_of_the_code() {
    let page = read("docs/retries.md");
    let table = page.split("\n## Outcomes\n").nth(1).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let words: Vec<_> = rows.collect();
    assert_eq!(words, Outcome::ALL.map(Outcome::as_str));
}

#[test]
fn every_ready_query_is_in_the_list() {
    let list = read("sql/README.md");
    for query in fs::read_dir(root().join("sql/analytics")).unwrap() {
        let name = query.unwrap().file_name().into_string().unwrap();
        assert!(list.contains(&format!("| `{name}` |")), "sql/README.md does not name {name}");
    }
}

/// The metrics that a text names.
fn metrics(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("postrider_")).map(str::to_owned).collect()
}

#[test]
fn the_page_for_operators_names_every_metric_and_no_other() {
    let (code, page) = (metrics(&read("src/telemetry.rs")), metrics(&read("docs/operating.md")));
    assert_eq!(code, page);
    assert!(code.len() > 15, "only {} metrics: has the file moved?", code.len());
}

/// A place in the code that a document names as `src/path.rs:12` and, in the next column, `function`.
#[derive(Debug, PartialEq)]
struct Location {
    path: String,
    line: usize,
    function: String,
}

fn locations(text: &str) -> Vec<Location> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let mut quoted = row.split('`').skip(1).step_by(2);
        let (path, line) = quoted.find(|text| text.starts_with("src/") && text.contains(".rs:"))?.rsplit_once(':')?;
        let (line, function) = (line.parse().ok()?, quoted.next()?.to_owned());
        Some(Location { path: path.to_owned(), line, function })
    })
    .collect()
}

/// The line on which a file defines a function, from 1. Two of one name would leave open which is meant.
fn definition(code: &str, function: &str) -> Option<usize> {
    let is_definition = |line: &str| {
        let after = line.split_once(&format!("fn {function}")).map(|(_, after)| after);
        after.is_some_and(|after| after.starts_with(['(', '<']))
    };
    let mut found = code.lines().enumerate().filter(|(_, line)| is_definition(line)).map(|(index, _)| index + 1);
    found.next().filter(|_| found.next().is_none())
}

#[test]
fn the_event_that_is_followed_passes_the_lines_that_are_named() {
    let page = read("ARCHITECTURE.md");
    let (named, mut now) = (locations(&page), page.clone());
    for Location { path, line, function } in &named {
        let defined = definition(&read(path), function)
            .unwrap_or_else(|| panic!("ARCHITECTURE.md: {path} has no function `{function}`, or several"));
        now = now.replace(&format!("`{path}:{line}` | `{function}`"), &format!("`{path}:{defined}` | `{function}`"));
    }
    if now != page && std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        return fs::write(root().join("ARCHITECTURE.md"), now).unwrap();
    }
    let wrong: Vec<_> = locations(&now).into_iter().zip(&named).filter(|(is, was)| is != *was).collect();
    assert!(wrong.is_empty(), "lines have moved: UPDATE_SNAPSHOTS=1 cargo test --test documents\n{wrong:#?}");
    let files: std::collections::BTreeSet<_> = named.iter().map(|location| &location.path).collect();
    assert_eq!(files.len(), named.len(), "an event comes back to a file");
    assert!((5..=10).contains(&named.len()), "an event passes {} files", named.len());
}

#[test]
fn a_function_is_found_where_it_is_defined_once() {
    let named = "| 1 | `src/a.rs:7` | `go` | calls `b` |\n`src/b.rs:1` `no row`\n";
    assert_eq!(locations(named), [Location { path: "src/a.rs".to_owned(), line: 7, function: "go".to_owned() }]);
    let code = "use x;\nfn going() {}\npub fn go<T>() {}\n";
    assert_eq!(definition(code, "go"), Some(3));
    assert_eq!(definition(&code.repeat(2), "go"), None);
    assert_eq!(definition(code, "gone"), None);
}

#[test]
fn the_example_on_the_page_for_customers_is_the_file() {
    let block = format!("\n```python\n{}```\n", read("examples/customers.py"));
    assert!(
        read("docs/customers.md").contains(&block),
        "docs/customers.md does not show examples/customers.py as it is"
    );
}

#[test]
fn every_crate_that_is_built_in_two_versions_is_explained() {
    let options = ["tree", "--locked", "--offline", "-d", "-e", "no-dev", "--depth", "0", "--prefix", "none"];
    let tree = std::process::Command::new(env!("CARGO")).args(options).current_dir(root()).output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let twice: std::collections::BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let page = read("ARCHITECTURE.md");
    let table = page.split("| why two versions |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().filter_map(|row| row.split('|').nth(1));
    let explained: std::collections::BTreeSet<_> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert_eq!(
        twice.into_iter().filter(|name| !name.is_empty()).collect::<std::collections::BTreeSet<_>>(),
        explained,
        "make one version suffice, or say why not in ARCHITECTURE.md, under Dependencies"
    );
}

/// Rows of a table whose first column is code.
fn coded_rows(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next())
}

#[test]
fn every_problem_has_a_section_that_its_type_names() {
    let page = read("docs/problems.md");
    let document: serde_json::Value = serde_json::from_str(&postrider::api::openapi_document()).unwrap();
    let codes = document.pointer("/components/schemas/Problem/properties/code/enum").unwrap().as_array().unwrap();
    let introduction = document.pointer("/info/description").unwrap().as_str().unwrap();
    let sections: Vec<_> = page.split("\n## ").skip(1).filter(|section| !section.starts_with("Codes of")).collect();
    assert_eq!(sections.len(), codes.len(), "sections of docs/problems.md, and codes");
    for (section, code) in sections.iter().zip(codes) {
        let code = code.as_str().unwrap();
        let mut lines = section.lines().filter(|line| !line.is_empty());
        assert_eq!(lines.next(), Some(code.replace('_', "-").as_str()), "sections stand by status, then by code");
        // `409 · `code` · Title`, as the table of the introduction has them.
        let row = format!("| {} |", lines.next().unwrap().replace(" · ", " | "));
        assert!(introduction.contains(&row), "docs/problems.md: {row} is not so");
        assert!(lines.any(|line| line.starts_with("**What to do:** ")), "docs/problems.md: {code} has no advice");
    }
}

#[test]
fn every_code_of_a_field_is_on_the_page_and_no_other() {
    let page = read("docs/problems.md");
    let listed: std::collections::BTreeSet<_> =
        coded_rows(page.split("\n## Codes of fields\n").nth(1).unwrap()).collect();
    let mut sources = String::new();
    let mut folders = vec![root().join("src/api")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(path).unwrap();
                sources.push_str(source.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    let codes = field_codes(&sources);
    let listed_only: Vec<_> = listed.iter().filter(|code| !sources.contains(&format!("\"{code}\""))).collect();
    assert!(listed_only.is_empty(), "docs/problems.md has codes that the code has not: {listed_only:?}");
    let missing: Vec<_> = codes.iter().filter(|code| !listed.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "docs/problems.md lacks these codes of fields: {missing:?}");
    assert!(codes.len() > 20, "only {} codes are found: has the code moved?", codes.len());
}

/// Where the code refuses a field: the code is the text that follows.
fn field_codes(source: &str) -> std::collections::BTreeSet<String> {
    let after = |mark: &'static str, nth: usize| {
        source.split(mark).skip(1).filter_map(move |rest| {
            let call = rest.split(';').next()?;
            let text = call.split('"').nth(2 * nth + 1)?;
            let is_code = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            is_code.then(|| text.to_owned())
        })
    };
    let refused =
        after(".refuse(", 0).chain(after("Refused { code: ", 0)).chain(after("QUERY_CODE: &'static str = ", 0));
    refused.chain(after("Problem::field(", 1)).chain(after("INVALID_PARAMETER: &str = ", 0)).collect()
}

#[test]
fn the_code_of_a_refused_field_is_found() {
    let source = "at.refuse(\"a_b\", rule); Problem::field(\"/x\", \"c\", \"d\"); Refused { code: \"e\", rule };";
    assert_eq!(field_codes(source).into_iter().collect::<Vec<_>>(), ["a_b", "c", "e"]);
}
