-- log/summarise()
select log_summarise_1() as summarised;
