//! A real Redis of a story's own, which can be killed, stopped and filled with anything.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use redis::{Cmd, FromRedisValue};
use rustix::process::{Pid, Signal, kill_process};

use super::wait::until;

/// A running Redis; it ends, and its folder goes, with this value.
pub(crate) struct RedisServer {
    folder: PathBuf,
    child: Child,
}

impl RedisServer {
    /// Starts one that keeps nothing on disk and waits until it answers.
    pub(crate) async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("postrider-redis-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let child = run(&folder);
        let redis = Self { folder, child };
        redis.answers().await;
        redis
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}/socket", self.folder.display())
    }

    /// One command on a fresh connection.
    pub(crate) async fn ask<Answer: FromRedisValue>(&self, command: &Cmd) -> Answer {
        self.try_ask(command).await.unwrap()
    }

    async fn try_ask<Answer: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<Answer> {
        let mut connection = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    /// Ends it at once, with all that it held.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, empty.
    pub(crate) async fn start_again(&mut self) {
        self.child = run(&self.folder);
        self.answers().await;
    }

    /// Lets it hang: connections stay open and nothing answers.
    pub(crate) fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends the hanging.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    async fn answers(&self) {
        until("Redis answers", async || self.try_ask::<()>(&redis::cmd("PING")).await.ok()).await;
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited_for = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(folder: &std::path::Path) -> Child {
    let start = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(folder).args(["--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    start("redis-server").or_else(|_| start("valkey-server")).expect("`make setup` installs Redis")
}
