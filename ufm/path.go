package ufm

var pathQuestions []Question
