//! The file `.env` of the working folder, or of the nearest one above it.

use std::path::Path;

/// Lines may hold secrets, so no message repeats one.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDotenv {
    #[error(".env: line {0} cannot be read: write NAME=value, in quotes where the value has spaces, quotes or #")]
    Line(usize),
    #[error(".env: {0}")]
    File(std::io::Error),
}

/// The environment overrides `.env`. A missing file is normal; an invalid one is an error.
pub fn load_dotenv() -> Result<(), InvalidDotenv> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(dotenvy::Error::Io(error)) => Err(InvalidDotenv::File(error)),
        Err(_) => {
            let here = std::env::current_dir().map_err(InvalidDotenv::File)?;
            let path = here.ancestors().map(|folder| folder.join(".env")).find(|path| path.is_file());
            let text = std::fs::read_to_string(path.as_deref().unwrap_or(Path::new(".env")));
            Err(InvalidDotenv::Line(first_bad_line(&text.map_err(InvalidDotenv::File)?)))
        }
    }
}

/// The line after the longest readable prefix, from 1: dotenvy does not report it, and quoted values may span lines.
fn first_bad_line(text: &str) -> usize {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_good = |count: usize| {
        let beginning: String = lines.iter().take(count).copied().collect();
        dotenvy::from_read_iter(beginning.as_bytes()).all(|entry| entry.is_ok())
    };
    (0..=lines.len()).rev().find(|count| is_good(*count)).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_cannot_be_read_is_counted_from_one() {
        assert_eq!(first_bad_line("hunter2\n"), 1);
        assert_eq!(first_bad_line("# a comment\n\nA='two\nlines'\nB=hunter 2\nC=1\n"), 5);
        assert_eq!(first_bad_line("A=1\nB=\"never ends\nC=1\n"), 2);
    }
}
