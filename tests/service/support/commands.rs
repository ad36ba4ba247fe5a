//! Commands that talk to a server, as somebody runs them elsewhere: without a database, with nothing but its address.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What a command said, and the status it ended with.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The rows of a table, without its titles.
    pub(crate) fn rows(&self) -> Vec<&str> {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out.lines().skip(1).collect()
    }

    /// The documents of an output that has one on each line.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"))).collect()
    }

    /// That it did what it should.
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

/// Somebody's shell, with these variables.
#[derive(Clone)]
pub(crate) struct Shell {
    variables: Vec<(String, String)>,
}

impl Shell {
    /// With the address of a server.
    pub(crate) fn of(server: &str) -> Self {
        Self { variables: Vec::new() }.with("POSTRIDER_SERVER", server)
    }

    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut variables = self.variables.clone();
        variables.push((name.to_owned(), value.to_owned()));
        Self { variables }
    }

    /// The command in this shell.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end. Words are separated by spaces.
    pub(crate) async fn run(&self, line: &str) -> Said {
        self.run_each(&line.split(' ').collect::<Vec<_>>()).await
    }

    /// Runs it with arguments that may have spaces.
    pub(crate) async fn run_each(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().await.unwrap())
    }

    /// Runs it with this text on standard input.
    pub(crate) async fn run_with_input(&self, line: &str, input: &str) -> Said {
        let mut command = self.command(&line.split(' ').collect::<Vec<_>>());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        said(child.wait_with_output().await.unwrap())
    }
}

fn said(done: std::process::Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}
