//! The service stores and shows no e-mail address, since it does not need one.

use harness::producer::{LINES, Producer};

use crate::app::{Testable, following};

harness::on_both_databases! {
    no_e_mail_address_is_kept
}

async fn no_e_mail_address_is_kept<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    producer.cancelled(17, LINES).await;
    let app = following::<S>(url, &producer).await;
    let mut stored = String::new();
    for (table, column) in S::columns(app.database()).await {
        let sql = format!("SELECT coalesce(CAST(\"{column}\" AS TEXT), '') FROM \"{table}\"");
        stored.extend(S::texts(app.database(), &sql).await);
        assert!(!column.contains("mail"), "{table}.{column}");
    }
    // The name is there, so the search works.
    assert!(stored.contains("O'Brien"));
    assert!(!stored.contains("ob@example.com"));
    for path in ["/", "/17"] {
        let shown = app.page(path).await + &app.json(path).await.to_string();
        assert!(!shown.contains("ob@example.com"), "{path}");
    }
}
