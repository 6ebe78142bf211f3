package ufm

var modelQuestions []Question
