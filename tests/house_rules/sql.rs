//! The rules of SQL: how a file is called and written, and what a distributed engine refuses.

use super::{Source, Violations, check, every, file, files_under, root};

const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "INSERT",
    "INTO",
    "UPDATE",
    "DELETE",
    "VALUES",
    "JOIN",
    "LEFT",
    "INNER",
    "ON",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IS",
    "IN",
    "AS",
    "WITH",
    "RETURNING",
    "ORDER",
    "BY",
    "GROUP",
    "LIMIT",
    "CREATE",
    "TABLE",
    "INDEX",
    "ALTER",
    "DROP",
    "UNION",
    "ALL",
    "ANY",
    "EXISTS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "FOR",
    "SET",
];

/// What gives another value each time: in an UPDATE, or in two statements of one call, rows would not agree.
const VOLATILE: &[&str] = &["clock_timestamp()", "gen_random_uuid()", "random()", "statement_timestamp()"];

/// Most lines of code of one statement.
const MAX_STATEMENT_LINES: usize = 100;

/// The statement without comments and texts, which are free to say what they like.
fn bare_sql(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    code.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

fn query_style(source: &Source) -> Violations {
    let name = source.path.trim_start_matches("sql/queries/").trim_end_matches(".sql");
    let mut violations = Vec::new();
    let mut say = |what: &str| violations.push(format!("{}: {what}", source.path));
    if name.split('/').count() != 2 {
        say("stands at sql/queries/<table>/<verb>.sql");
    }
    if !source.text.starts_with(&format!("-- {name}(")) {
        say(&format!("opens with `-- {name}(parameters with units)`: file, query and store function share one name"));
    }
    violations.extend(statement_style(source));
    violations
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// What every statement keeps to, of the program or for its readers.
fn statement_style(source: &Source) -> Violations {
    let mut violations = Vec::new();
    let mut say = |what: &str| violations.push(format!("{}: {what}", source.path));
    let sql = bare_sql(&source.text);
    if sql.trim_end().matches(';').count() != 1 || !sql.trim_end().ends_with(';') {
        say("is exactly one statement and ends with `;`: it is prepared as a whole");
    }
    if let Some(word) = words(&sql).find(|word| KEYWORDS.contains(word)) {
        say(&format!("writes `{word}`: keywords are lower-case here"));
    }
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.contains("select *") || flat.contains(".*") || flat.contains("returning *") {
        say("names no columns: `*` changes its meaning when a column is added, and cached plans break");
    }
    violations
}

/// A ready query says what it answers before it asks.
fn ready_query_style(source: &Source) -> Violations {
    let name = source.path.trim_start_matches("sql/").trim_end_matches(".sql");
    let mut violations = statement_style(source);
    let question = source.text.lines().next().unwrap_or_default();
    if !question.starts_with(&format!("-- {name}: ")) || !question.ends_with('?') {
        violations.push(format!("{}: opens with `-- {name}: the question that it answers?`", source.path));
    }
    violations
}

fn queries_are_used(queries: &[Source], list: &str) -> Violations {
    let name = |source: &Source| source.path.trim_start_matches("sql/queries/").trim_end_matches(".sql").to_owned();
    let unused = queries.iter().filter(|source| !list.contains(&format!("\"{}\"", name(source))));
    unused.map(|source| format!("{}: nobody runs it: name it in src/store/sql.rs or delete it", source.path)).collect()
}

/// Statements of a text, each with its leading comments cut off: what a `;` ends.
fn statements(text: &str) -> Vec<String> {
    let sql = bare_sql(text);
    sql.split(';').map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

/// What no text of ours may hold, because a distributed engine refuses it or reads something else.
fn portable(source: &Source) -> Violations {
    let mut violations = Vec::new();
    let mut say = |what: String| violations.push(format!("{}: {what}", source.path));
    for statement in statements(&source.text) {
        let flat = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let inserts = ["as (insert ", "as ( insert ", "as materialized (insert ", "as materialized ( insert "];
        if inserts.iter().any(|insert| flat.contains(insert)) {
            say("has an INSERT in a CTE, which is refused: make it a step of a function".to_owned());
        }
        if let Some(call) = VOLATILE.iter().find(|call| is_update(&flat) && flat.contains(**call)) {
            say(format!("calls {call} in an UPDATE: pass the value in"));
        }
        let lines = statement.lines().filter(|line| !line.trim().is_empty()).count();
        if lines > MAX_STATEMENT_LINES {
            say(format!("has a statement of {lines} lines, the limit is {MAX_STATEMENT_LINES}: make it several steps"));
        }
    }
    violations
}

fn is_update(flat: &str) -> bool {
    flat.starts_with("update ") || flat.contains("( update ") || flat.contains("do update set")
}

/// Every function names its own search path, and one in the SQL language reads no table. A body after `return` is bound
/// to its names when it is created; without a path it can be inlined.
fn functions_stand_alone(source: &Source) -> Violations {
    let mut violations = Vec::new();
    let sql = bare_sql(&source.text);
    for text in sql.split("create function ").skip(1) {
        let name = text.split('(').next().unwrap_or_default();
        // They name nothing but operators and functions of the system, and run for every row.
        let is_spared = ["histogram", "histogram_add"].contains(&name) || text.contains("\nreturn ");
        if !text.contains("set search_path from current") && !is_spared {
            violations.push(format!(
                "{}: {name} has no `set search_path from current`: it would read the caller's tables",
                source.path
            ));
        }
        let flat = text.split("create ").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let reads = flat.replace("search_path from current", "").replace("extract(epoch from", "");
        if flat.contains("language sql ") && reads.replace("from unnest(", "").contains(" from ") {
            violations.push(format!(
                "{}: {name} is of the SQL language and reads a table: it is inlined after planning; use plpgsql",
                source.path
            ));
        }
    }
    violations
}

/// A function's file is named like the function, whose name carries a version.
fn function_style(source: &Source) -> Violations {
    let name = source.path.trim_start_matches("sql/functions/").trim_end_matches(".sql");
    let mut violations = Vec::new();
    let mut say = |what: String| violations.push(format!("{}: {what}", source.path));
    if !source.text.starts_with(&format!("-- {name}(")) {
        say(format!("opens with `-- {name}(arguments with units)`: file, function and caller share one name"));
    }
    let prefix = format!("create function {}_", name.replace('/', "_"));
    let version = source.text.split(&prefix).nth(1).and_then(|after| after.split('(').next());
    if source.text.matches("create function ").count() != 1 || version.is_none_or(|text| text.parse::<u32>().is_err()) {
        say(format!("makes one function, called {}_ and a version", name.replace('/', "_")));
    }
    let sql = bare_sql(&source.text);
    if let Some(word) = words(&sql).find(|word| KEYWORDS.contains(word)) {
        say(format!("writes `{word}`: keywords are lower-case here"));
    }
    violations
}

fn functions_are_used(functions: &[Source], list: &str) -> Violations {
    let name = |source: &Source| source.path.trim_start_matches("sql/functions/").trim_end_matches(".sql").to_owned();
    let unused = functions.iter().filter(|source| !list.contains(&format!("\"{}\"", name(source))));
    unused.map(|source| format!("{}: nobody makes it: name it in src/store/sql.rs or delete it", source.path)).collect()
}

/// A line for each function: its name and a hash of its text (FNV-1a).
fn fingerprints(functions: &[Source]) -> String {
    let hash = |text: &str| {
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let line = |source: &Source| {
        let name = source.text.split("create function ").nth(1).and_then(|after| after.split('(').next());
        format!("{} {:016x}\n", name.unwrap_or_default(), hash(&source.text))
    };
    functions.iter().map(line).collect()
}

fn queries() -> Vec<Source> {
    files_under("sql/queries")
}

fn functions() -> Vec<Source> {
    files_under("sql/functions")
}

fn migrations() -> Vec<Source> {
    files_under("sql/migrations")
}

#[test]
fn every_query_is_one_named_statement_in_house_style_and_is_used() {
    every(&queries(), query_style);
    check(queries_are_used(&queries(), &file("src/store/sql.rs").text));
}

#[test]
fn every_ready_query_opens_with_its_question_and_is_in_house_style() {
    every(&files_under("sql/analytics"), ready_query_style);
}

#[test]
fn every_function_is_named_after_its_file_and_is_made() {
    every(&functions(), function_style);
    check(functions_are_used(&functions(), &file("src/store/sql.rs").text));
}

#[test]
fn no_statement_is_one_that_a_distributed_engine_refuses() {
    for sources in [queries(), functions(), migrations()] {
        every(&sources, portable);
        check(sources.iter().flat_map(functions_stand_alone).collect());
    }
}

#[test]
fn a_function_that_changes_gets_the_next_version() {
    // Replicas of two versions work side by side, each with its own; a function that is there is never made again.
    let path = root().join("tests/house_rules/functions.txt");
    let (known, now) = (std::fs::read_to_string(&path).unwrap_or_default(), fingerprints(&functions()));
    if known != now && std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &now).unwrap();
        return;
    }
    assert_eq!(
        known, now,
        "functions of the same name differ: once released, a changed function is a new one with the next number; before, \
         run this once with UPDATE_SNAPSHOTS=1"
    );
}

#[test]
fn each_rule_of_sql_catches_a_planted_violation() {
    let planted = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sql = |text: &str| planted("sql/queries/events/add.sql", text);
    let ready = |text: &str| planted("sql/analytics/volume.sql", text);
    let function = |text: &str| planted("sql/functions/events/add.sql", text);
    assert_eq!(query_style(&sql("-- events/add($1 id)\nselect id from events where kind = 'A;B';\n")).len(), 0);
    assert_eq!(query_style(&sql("select id from events;")).len(), 1);
    assert_eq!(query_style(&sql("-- events/add()\nSELECT id from events;")).len(), 1);
    assert_eq!(query_style(&sql("-- events/add()\nselect * from events;")).len(), 1);
    assert_eq!(query_style(&sql("-- events/add()\nselect 1; select 2;")).len(), 1);
    assert_eq!(ready_query_style(&ready("-- analytics/volume: how much?\nselect 1;\n")).len(), 0);
    assert_eq!(ready_query_style(&ready("-- analytics/volume: all of it.\nselect *;\n")).len(), 2);
    assert_eq!(queries_are_used(&[sql("")], "A = \"events/remove\"").len(), 1);
    assert_eq!(portable(&sql("with a as (\n    insert into b values (1)\n) select 1;")).len(), 1);
    assert_eq!(portable(&sql("update a set b = clock_timestamp();")).len(), 1);
    assert_eq!(portable(&sql("insert into a select clock_timestamp();")).len(), 0);
    assert_eq!(portable(&sql(&format!("select 1{};", "\n, 1".repeat(100)))).len(), 1);
    assert_eq!(functions_stand_alone(&function("create function a() language plpgsql as $$ begin end $$;")).len(), 1);
    assert_eq!(functions_stand_alone(&function("create function a() language sql\nreturn b(1);")).len(), 0);
    let reads = "create function a() language sql set search_path from current return (select 1 from b);";
    assert_eq!(functions_stand_alone(&function(reads)).len(), 1);
    assert_eq!(functions_stand_alone(&function(&reads.replace("from b", "from unnest(c)"))).len(), 0);
    assert_eq!(function_style(&function("-- events/add()\ncreate function events_add_1() …")).len(), 0);
    assert_eq!(function_style(&function("create function add() …")).len(), 2);
    assert_eq!(functions_are_used(&[function("")], "\"events/remove\"").len(), 1);
    assert_ne!(
        fingerprints(&[function("create function a_1() 1")]),
        fingerprints(&[function("create function a_1() 2")])
    );
}
