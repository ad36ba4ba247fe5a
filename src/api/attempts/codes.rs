//! Statuses of responses as a filter names them.

/// The status of a response, or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum StatusCodes {
    One(i32),
    /// Its hundreds.
    Class(i32),
}

impl StatusCodes {
    pub(in crate::api) fn parse(text: &str) -> Result<Self, &'static str> {
        let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
        let read = match text.strip_suffix("xx") {
            Some(class) => number(class).flatten().filter(|class| (1..=5).contains(class)).map(Self::Class),
            None => number(text).flatten().filter(|code| (100..=599).contains(code)).map(Self::One),
        };
        read.ok_or("must be a status from 100 to 599, or a class as in 4xx")
    }

    pub(super) fn code(&self) -> Option<i32> {
        if let Self::One(code) = self { Some(*code) } else { None }
    }

    pub(super) fn class(&self) -> Option<i32> {
        if let Self::Class(class) = self { Some(*class) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_or_a_class_is_read_and_nothing_else() {
        assert_eq!(StatusCodes::parse("404"), Ok(StatusCodes::One(404)));
        assert_eq!(StatusCodes::parse("4xx"), Ok(StatusCodes::Class(4)));
        for other in ["", "xx", "6xx", "4XX", "40", "+40", "099", "600", "4x", "44xx"] {
            assert!(StatusCodes::parse(other).is_err(), "{other}");
        }
    }
}
