//! Rebuilds the crate when a migration is added: the embedding macro alone
//! notices only changes of files it has already seen.

fn main() {
    println!("cargo::rerun-if-changed=sql/migrations");
}
