//! A real pgbouncer of a story's own.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::folder::Folder;
use super::postgres::Postgres;
use super::process::free_address;
use super::wait::until;

/// A pooler that ends with this value.
pub(crate) struct Pgbouncer {
    _folder: Folder,
    port: u16,
    child: Child,
}

impl Pgbouncer {
    /// In front of this server, in this mode, with these lines more.
    pub(crate) async fn start(server: &Postgres, mode: &str, more: &str) -> Self {
        let (folder, port) = (Folder::new(), free_address().port());
        let file = |name: &str| folder.0.join(name);
        let text = format!(
            "[databases]\npostrider = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n{more}\n",
            server.port(),
            file("users").display()
        );
        std::fs::write(file("users"), "\"postgres\" \"\"\n\"hooks\" \"\"\n").unwrap();
        std::fs::write(file("ini"), text).unwrap();
        let mut command = Command::new("pgbouncer");
        if let Some((user, group)) = super::postgres::owner() {
            command.uid(user).gid(group);
        }
        command.arg(file("ini")).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("`make setup` installs pgbouncer");
        let pooler = Self { _folder: folder, port, child };
        until("pgbouncer listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
        pooler
    }

    pub(crate) fn url(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/postrider", self.port)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited_for = self.child.wait();
    }
}
