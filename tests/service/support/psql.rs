//! The programs that PostgreSQL brings along, run as its users run them.

use std::path::PathBuf;
use std::process::Command;

use super::database::Database;

/// A program of the newest PostgreSQL in Debian's place, else the one on the path.
pub(crate) fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<_> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).collect();
    programs.sort();
    programs.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// Runs a file with psql and these variables, for one tenant or all; its rows as text, one for each row of the answer.
pub(crate) fn run_file(database: &Database, path: &str, variables: &[(&str, &str)], tenant: Option<&str>) -> Vec<Row> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut psql = Command::new(program("psql"));
    psql.args(["--no-psqlrc", "--quiet", "--csv", "--set", "ON_ERROR_STOP=1"]);
    psql.args(["--pset", "csv_fieldsep=\t"]);
    for (name, value) in variables {
        psql.args(["--set", &format!("{name}={value}")]);
    }
    // As the documents say, for one tenant.
    if let Some(tenant) = tenant {
        psql.args(["--command", &format!("set postrider.tenant = '{tenant}'")]);
    }
    let ran = psql.arg("--file").arg(file).arg(database.url()).output().unwrap();
    assert!(ran.status.success(), "{path}: {}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().unwrap_or_default();
    lines.map(|values| Row { names: names.clone(), values }).collect()
}

/// A row as psql prints it; null is empty.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    names: Vec<String>,
    values: Vec<String>,
}

impl Row {
    /// The text of a column.
    pub(crate) fn text(&self, column: &str) -> &str {
        let place = self.names.iter().position(|name| name == column);
        place.map_or_else(|| panic!("no column {column} in {self:?}"), |place| self.values[place].as_str())
    }

    /// The number in a column.
    pub(crate) fn number(&self, column: &str) -> f64 {
        self.text(column).parse().unwrap_or_else(|_| panic!("{column} is no number in {self:?}"))
    }
}
