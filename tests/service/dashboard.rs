//! The dashboard's files are served to anybody, in a form that no page of strangers can misuse.

use crate::support::api::TestApi;

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_served_without_a_key_and_may_load_nothing_from_elsewhere() {
    let api = TestApi::start().await;
    for (path, content_type) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/plot.js", "text/javascript"),
        ("/app.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let file = api.stranger("GET", path).send().await;
        assert_eq!(file.status, 200, "{path}");
        let header = |name: &str| file.headers[name].to_str().unwrap();
        assert!(header("content-type").starts_with(content_type), "{path}: {}", header("content-type"));
        assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"), "{path}");
        let policy = header("content-security-policy");
        for rule in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'"]
        {
            assert!(policy.split("; ").any(|own| own == rule), "{path}: {rule} is not in {policy}");
        }
        assert!(!file.text.contains("https://") || path == "/app.js", "{path} names another server");
    }
    let page = api.stranger("GET", "/?theme=dark&utm_source=mail").send().await.text;
    assert!(page.contains("<script type=\"module\"") && page.contains("./app.js"), "{page}");
    assert!(!page.contains("<style") && !page.contains(" style="), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_that_the_settings_name_may_embed_the_dashboard() {
    let rule = |api: TestApi| async move {
        let page = api.stranger("GET", "/").send().await;
        let policy = page.headers["content-security-policy"].to_str().unwrap().to_owned();
        policy.split("; ").find(|rule| rule.starts_with("frame-ancestors")).unwrap().to_owned()
    };
    assert_eq!(rule(TestApi::start().await).await, "frame-ancestors 'none'");
    let embeddable = TestApi::start_limited(|settings| {
        settings.portal.origins = "https://app.example.com,https://*.example.org".parse().unwrap();
    });
    let named = rule(embeddable.await).await;
    assert_eq!(named, "frame-ancestors https://app.example.com https://*.example.org");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_compressed_for_who_takes_that_and_not_sent_twice() {
    let api = TestApi::start().await;
    let plain = api.stranger("GET", "/app.css").send().await;
    assert!(!plain.headers.contains_key("content-encoding"));
    for (accepted, zipped) in [("gzip, br", true), ("GZIP;q=0.5", true), ("br", false), ("gzip;q=0", false)] {
        let file = api.stranger("HEAD", "/app.css").header("accept-encoding", accepted).send().await;
        assert_eq!(file.headers.contains_key("content-encoding"), zipped, "{accepted}");
        assert_eq!(file.headers["etag"] != plain.headers["etag"], zipped, "{accepted}");
        assert_eq!(file.headers["vary"], "accept-encoding");
    }
    let tag = plain.headers["etag"].to_str().unwrap();
    for (known, status) in [(tag.to_owned(), 304), (format!("\"other\", {tag}"), 304), ("\"other\"".to_owned(), 200)] {
        let again = api.stranger("GET", "/app.css").header("if-none-match", &known).send().await;
        assert_eq!(again.status.as_u16(), status, "{known}");
        assert_eq!(again.text.is_empty(), status == 304);
    }
}
