"""The metrics texts (OpenMetrics, and Prometheus's own): families and labels of the values, and the page they make.

options     what may be chosen
families    what a key is called as a metric, and in which unit
labels      names from outside as label values
metadata    labels out of what applications keep in a domain's definition
plan        the lines of a record, by its shape; the text of one
page        the lines of all records, by family, with places for their numbers
writing     numbers into these places
host        what is said of the poll and of the collector
service     what a service says of itself
render      all of it
"""
