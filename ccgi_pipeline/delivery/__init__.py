"""Delivery: from the outbox to the districts' folders on SFTP servers, with proof of arrival."""
