//! Parameters of path and query, documented and read by type.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::form::Whole;
use super::problem::Problem;
use super::text::{FromText, INVALID_PARAMETER, Refused, inline};

/// Each name once, unless its parameter is a [`Queries`].
#[derive(Debug, Clone, Default)]
pub(super) struct QueryValues(pub(super) Vec<(String, String)>);

pub(super) struct Path<T>(pub(super) T);

pub(super) struct Query<T>(pub(super) Option<T>);

/// A parameter that has to be there.
pub(super) struct Required<T>(pub(super) T);

/// A parameter that may be repeated and then means "any of"; empty for all.
pub(super) struct Queries<T>(pub(super) Vec<T>);

/// Of one parameter.
pub(super) const MAX_REPEATED: usize = 20;

pub(super) trait Parameter: Sized + Send {
    fn schema() -> MetaSchema;

    fn read(text: &str) -> Result<Self, Refused>;
}

impl<T: FromText> Parameter for T {
    fn schema() -> MetaSchema {
        T::rules()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        T::from_text(text).map_err(|refused| Refused { code: T::QUERY_CODE, ..refused })
    }
}

impl<const MIN: u32, const MAX: u32> Parameter for Whole<MIN, MAX> {
    fn schema() -> MetaSchema {
        Self::rules()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
        let rule = || format!("must be a whole number from {MIN} to {MAX}");
        number.map(Self).ok_or_else(|| Refused { code: INVALID_PARAMETER, rule: rule() })
    }
}

impl<'a, T: FromText> ApiExtractor<'a> for Path<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;
    type ParamType = T;
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(inline(T::rules()))
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let text = request.raw_path_param(options.name).unwrap_or_default();
        // The framework does not pass the parameter's name; `routes` adds it.
        Ok(T::from_text(text).map(Self).map_err(|refused| Problem::field("/path/", refused.code, refused.rule))?)
    }
}

impl<'a, T: Parameter> ApiExtractor<'a> for Query<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = T;
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(inline(T::schema()))
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let values = request.extensions().get::<QueryValues>();
        let found = values.and_then(|values| values.0.iter().find(|(name, _)| name == options.name));
        let Some((name, text)) = found else { return Ok(Self(None)) };
        let read =
            T::read(text).map_err(|refused| Problem::field(format!("/query/{name}"), refused.code, refused.rule));
        Ok(Self(Some(read?)))
    }
}

impl<'a, T: Parameter> ApiExtractor<'a> for Required<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;
    type ParamType = T;
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(inline(T::schema()))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let pointer = format!("/query/{}", options.name);
        let Query(given) = Query::<T>::from_request(request, body, options).await?;
        Ok(Self(given.ok_or_else(|| Problem::field(pointer, "required", "must be there"))?))
    }
}

impl<'a, T: Parameter> ApiExtractor<'a> for Queries<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = T;
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        let items = Some(Box::new(inline(T::schema())));
        Some(inline(MetaSchema { items, max_items: Some(MAX_REPEATED), ..MetaSchema::new("array") }))
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> poem::Result<Self> {
        let values = request.extensions().get::<QueryValues>();
        let named = values.iter().flat_map(|values| values.0.iter()).filter(|(name, _)| name == options.name);
        let pointer = format!("/query/{}", options.name);
        let read = |(_, text): &(String, String)| {
            T::read(text).map_err(|refused| Problem::field(pointer.clone(), refused.code, refused.rule))
        };
        let read: Vec<T> = named.map(read).collect::<Result<_, _>>()?;
        if read.len() > MAX_REPEATED {
            let rule = format!("must stand at most {MAX_REPEATED} times");
            return Err(Problem::field(pointer, "too_many_values", rule).into());
        }
        Ok(Self(read))
    }
}
