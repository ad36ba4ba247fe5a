//! Authorization at a target: user name and password, or a token. Secret like the signing secrets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::secret::MASK;

const MAX_USERNAME_BYTES: usize = 255;
const MAX_PASSWORD_BYTES: usize = 1_024;
const MAX_TOKEN_BYTES: usize = 4_096;

/// Why an authorization is invalid. Messages never repeat values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAuth {
    #[error("must be 1 to {MAX_USERNAME_BYTES} bytes, without colon and control characters")]
    Username,
    #[error("must be at most {MAX_PASSWORD_BYTES} bytes, without control characters, and no mask")]
    Password,
    #[error("must be 1 to {MAX_TOKEN_BYTES} bytes of visible ASCII, and no mask")]
    Token,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Auth {
    Basic { username: String, password: String },
    Bearer { token: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthType {
    Basic,
    Bearer,
}

impl AuthType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        }
    }
}

impl Auth {
    pub(crate) fn basic(username: String, password: String) -> Result<Self, InvalidAuth> {
        let is_name = (1..=MAX_USERNAME_BYTES).contains(&username.len()) && !username.contains(':');
        if !is_name || username.chars().any(char::is_control) {
            return Err(InvalidAuth::Username);
        }
        if password.len() > MAX_PASSWORD_BYTES || password.chars().any(char::is_control) || password == MASK {
            return Err(InvalidAuth::Password);
        }
        Ok(Self::Basic { username, password })
    }

    pub(crate) fn bearer(token: String) -> Result<Self, InvalidAuth> {
        let fits = (1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && token != MASK { Ok(Self::Bearer { token }) } else { Err(InvalidAuth::Token) }
    }

    pub(crate) fn kind(&self) -> AuthType {
        match self {
            Self::Basic { .. } => AuthType::Basic,
            Self::Bearer { .. } => AuthType::Bearer,
        }
    }

    pub(crate) fn header(&self) -> String {
        match self {
            Self::Basic { username, password } => {
                format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
            }
            Self::Bearer { token } => format!("Bearer {token}"),
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({})", self.kind().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_is_written_as_its_type_asks() {
        let basic = Auth::basic("Aladdin".to_owned(), "open sesame".to_owned()).unwrap();
        assert_eq!(basic.header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(Auth::basic("a:b".to_owned(), String::new()), Err(InvalidAuth::Username));
        assert_eq!(Auth::basic("a".to_owned(), "\r\n".to_owned()), Err(InvalidAuth::Password));
        for token in ["", "a b", "a\r\nb", MASK] {
            assert_eq!(Auth::bearer(token.to_owned()), Err(InvalidAuth::Token), "{token:?}");
        }
    }
}
