//! Pays an order and publishes that in one transaction. Usage: DATABASE_URL=postgres://… order ORDER

use std::env;
use std::error::Error;

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

async fn pay(client: &mut Client, order: i64) -> Result<Uuid, tokio_postgres::Error> {
    // Dropped without a commit, it rolls back both.
    let transaction = client.transaction().await?;
    transaction.execute("update orders set paid_at = now() where id = $1", &[&order]).await?;
    let publish = "select postrider.publish('order.paid', $1::text, idempotency_key => $2)";
    let (payload, key) = (format!("{{\"order\": {order}}}"), format!("order-{order}-paid"));
    let event = transaction.query_one(publish, &[&payload, &key]).await?.get(0);
    transaction.commit().await?;
    Ok(event)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let order = env::args().nth(1).ok_or("usage: order ORDER")?.parse()?;
    let (mut client, connection) = tokio_postgres::connect(&env::var("DATABASE_URL")?, NoTls).await?;
    tokio::spawn(connection);
    println!("{}", pay(&mut client, order).await?);
    Ok(())
}
