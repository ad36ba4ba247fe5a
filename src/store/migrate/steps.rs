//! The migrations, as they are in the binary.

use refinery_core::{Migration, Runner};

macro_rules! steps {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../sql/migrations/", $name, ".sql")))),+]
    };
}

const STEPS: [(&str, &str); 9] = steps![
    "V1__tenants_and_keys",
    "V2__subscriptions",
    "V3__events",
    "V4__queue",
    "V5__log",
    "V6__retention",
    "V7__views",
    "V8__publishing",
    "V9__analytics",
];

pub(super) fn runner() -> Runner {
    let migration = |(name, text)| Migration::unapplied(name, text).expect("a name is V, a number, __ and words");
    Runner::new(&STEPS.map(migration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_sql_migrations_is_a_step() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
        let names = std::fs::read_dir(folder).expect("the folder is there").flatten();
        let mut files: Vec<_> = names.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        files.sort();
        assert_eq!(files, STEPS.map(|(name, _)| format!("{name}.sql")));
        assert_eq!(runner().get_migrations().len(), STEPS.len());
    }
}
